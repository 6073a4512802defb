"""Preparation: a data directory becomes a corpus, and is resumed after an interruption."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench.prepare.corpus import SPLITS, Corpus
from workbench.prepare.describe import describe
from workbench.prepare.pipeline import Preparation, Source, prepare
from workbench.settings import UserError
from workbench.storage.lock import hold_lock

TINY = Source(synthetic="is", size="tiny")
HOW = Preparation(states=150)


@pytest.fixture
def home(prepared_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of the test's own, with the tiny corpus in it."""
    shutil.copytree(prepared_tiny, tmp_path / "corpora" / "tiny")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_preparing_again_returns_what_is_there(home: Path) -> None:
    """The same preparation of the same name changes no file."""
    before = contents(home)
    corpus = prepare("tiny", TINY, HOW)
    assert corpus.folder == home / "corpora" / "tiny"
    assert contents(home) == before


def test_another_preparation_of_a_known_name_is_refused(home: Path) -> None:
    """Another number of states under the same name is a UserError."""
    with pytest.raises(UserError, match=r"states is 150, not 160.*rm -r .*tiny$"):
        prepare("tiny", TINY, Preparation(states=160))


def test_a_folder_of_something_else_is_left_alone(home: Path) -> None:
    """A folder that preparation did not begin is refused, and keeps what is in it."""
    other = home / "corpora" / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="was not made by workbench"):
        prepare("other", TINY, HOW)
    assert (other / "thesis.txt").read_text() == "years of work"


def test_an_interrupted_preparation_repeats_only_what_is_missing(home: Path) -> None:
    """A corpus without its last two steps is completed to the same files."""
    folder = home / "corpora" / "tiny"
    before = contents(folder)
    for name in ("corpus.json", "denominator.safetensors", "priors.npy", "states.npz"):
        (folder / name).unlink()
    manifest = folder / "train" / "manifest.json"
    made_at = manifest.stat().st_mtime_ns

    said: list[str] = []
    prepare("tiny", TINY, HOW, progress=lambda done, total, what: said.append(what))
    assert manifest.stat().st_mtime_ns == made_at or "features" not in " ".join(said)
    after = contents(folder)
    assert after.keys() == before.keys()
    for name in ("corpus.json", "states.npz", "priors.npy", "denominator.safetensors"):
        assert after[name] == before[name], name


def test_another_preparation_that_was_begun_starts_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another, unfinished preparation left is removed before anything is made."""
    folder = home / "corpora" / "tiny"
    (folder / "corpus.json").unlink()
    with pytest.raises(UserError, match="no such folder"):
        prepare("tiny", Source(kaldi=home / "nowhere"), HOW)
    assert not folder.exists()


@pytest.mark.parametrize(
    "source, message",
    [
        (Source(), "name a source"),
        (Source(kaldi=Path("nowhere")), "nowhere: no such folder"),
        (Source(lhotse=Path("nowhere")), "nowhere: no such folder"),
    ],
)
def test_a_source_that_cannot_be_is_named(
    source: Source, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No source, and a folder that does not exist, are UserErrors."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    with pytest.raises(UserError, match=message):
        prepare("c", source, HOW)


def test_a_data_directory_without_a_lexicon_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lexicon, the error names the folder and the option that gives one."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    (tmp_path / "data").mkdir()
    with pytest.raises(
        UserError, match=r"no lexicon: none of lexiconp\.txt, .*; name one with --lexicon FILE"
    ):
        prepare("c", Source(kaldi=tmp_path / "data"), HOW)


def test_an_unknown_corpus_is_answered_with_the_known_ones(home: Path) -> None:
    """A name that no corpus has is a UserError that lists the corpora there are."""
    with pytest.raises(UserError, match=r"icelandic: no such corpus; .*tiny"):
        Corpus.open("icelandic")
    assert Corpus.open(str(home / "corpora" / "tiny")) == Corpus.open("tiny")


def test_the_corpus_accounts_for_its_utterances(home: Path) -> None:
    """corpus.json counts what the stores hold, and the priors are a distribution."""
    corpus = Corpus.open("tiny")
    info = json.loads((corpus.folder / "corpus.json").read_text())
    assert set(info["splits"]) == set(SPLITS)
    for split, counts in info["splits"].items():
        store = corpus.split(split)
        assert counts["utterances"] == len(store)
        assert counts["frames"] == store.frames
        aside = sum(counts["set_aside"].values())
        assert int((np.asarray(store.alignment)[store.offsets[:-1]] < 0).sum()) <= aside
    assert np.exp(corpus.log_prior).sum() == pytest.approx(1.0, abs=1e-5)
    assert len(corpus.log_prior) == corpus.states.count == info["states"]
    assert str(corpus.folder) in describe(corpus)
    assert f"{info['words']} words" in describe(corpus)


def test_the_search_graph_of_the_test_is_made_once(home: Path) -> None:
    """The n-gram's graph is written when it is first asked for, and read afterwards."""
    corpus = Corpus.open("tiny")
    first = corpus.ngram_graph
    path = corpus.folder / "ngram.safetensors"
    written = path.stat().st_mtime_ns
    again = Corpus.open("tiny").ngram_graph
    assert path.stat().st_mtime_ns == written
    assert np.array_equal(first.lm, again.lm)
    assert not list(corpus.folder.glob("*.partial"))


def test_a_second_process_is_refused_by_name(home: Path) -> None:
    """Two preparations of one corpus at once would destroy each other."""
    with (
        hold_lock(home / "corpora" / ".other.lock", wait=False),
        pytest.raises(UserError, match=f"process {os.getpid()} is preparing"),
    ):
        prepare("other", TINY, HOW)
    with hold_lock(home / "corpora" / ".other.lock", wait=False):
        pass


def test_too_few_jobs_are_refused(home: Path) -> None:
    """No job, or less, is a UserError."""
    for jobs in (0, -1):
        with pytest.raises(UserError, match=f"jobs={jobs}: at least 1"):
            prepare("other", TINY, HOW, jobs)


def test_a_corpus_of_an_older_release_is_known_again(home: Path) -> None:
    """What was no option when a corpus was prepared has its default, and is not a difference."""
    path = home / "corpora" / "tiny" / "corpus.json"
    info = json.loads(path.read_text())
    for name in ("lm", "sets", "lexicon"):
        del info["source"][name]
    path.write_text(json.dumps(info))
    assert prepare("tiny", TINY, HOW).folder == home / "corpora" / "tiny"
    with pytest.raises(UserError, match=r"lm is None, not own\.arpa"):
        prepare("tiny", Source(synthetic="is", size="tiny", lm=Path("own.arpa")), HOW)
