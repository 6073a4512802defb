"""A run belongs to its corpus and to the model that it started from, and to no others."""

import hashlib
import json
import shutil
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest

from workbench import runs
from workbench.hmm.states import TiedStates
from workbench.model.model_file import save_model
from workbench.model.network import initial
from workbench.prepare.corpus import Corpus
from workbench.prepare.files import file_records
from workbench.runs.record import (
    FIRST_PARTS,
    PARTS,
    corpus_identity,
    language_digest,
    parameters_digest,
    require_same_corpus,
)
from workbench.runs.task import Task
from workbench.settings import UserError, preset
from workbench.settings.experiment import LATER
from workbench.storage.run import CorpusIdentity, Parent, Run, RunRecord, RunState
from workbench.storage.run_writer import RunWriter

SETTINGS = preset("tiny", hidden_layers=1, hidden_units=16)
NOT_READ = {
    *("begun.json", "data.sha256", "source"),  # what it was prepared from
    *("lm-1.notes", "lm-3.notes", "remarks.txt", "set_aside.tsv"),  # what there is to say of it
    *("corpus.json", "ngram.safetensors"),  # the parts, and a graph that is made from them
}
"""Files of a corpus that no part has to cover."""


@pytest.fixture
def corpus(prepared_tiny: Path, data_folder: Path) -> Corpus:
    """A copy of the tiny corpus that a test may change."""
    shutil.copytree(prepared_tiny, data_folder / "corpora" / "tiny")
    return Corpus.open("tiny")


def untrained(corpus: Corpus, name: str, parent: Parent | None = None, seed: int = 0) -> Run:
    """A run on the corpus whose model is random."""
    settings = SETTINGS.replace(seed=seed)
    record = RunRecord(settings.to_dict(), corpus_identity(corpus), parent)
    writer = RunWriter.create(corpus.folder.parents[1] / "runs", name, record)
    writer.close(RunState.STOPPED)
    run = writer.run
    task = Task(corpus, settings)
    save_model(run.folder / "model", initial(task.topology, seed), task.topology, {})
    return run


def other_states(corpus: Corpus, name: str) -> Corpus:
    """A corpus with as many tied states, each of which is another's."""
    folder = corpus.folder.with_name(name)
    shutil.copytree(corpus.folder, folder)
    states = TiedStates.load(folder / "states.npz")
    silence = states.silence
    speech = np.setdiff1d(np.arange(states.count), silence)
    number = np.arange(states.count)
    number[speech] = np.roll(speech, 1)
    replace(states, table=number[states.table]).save(folder / "states.npz")
    prepare_differently(folder)
    return Corpus(folder)


def prepare_differently(folder: Path) -> None:
    """Record the files as they are now, as another preparation would; else they are damaged."""
    path = folder / "corpus.json"
    info = json.loads(path.read_text())
    info["files"] = file_records(folder)
    path.write_text(json.dumps(info))


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_a_corpus_counts(corpus: Corpus, part: str) -> None:
    """Whatever file changes, a run of the corpus is refused, and the message names the part."""
    run = untrained(corpus, "a")
    before = corpus_identity(corpus)
    (path,) = corpus.folder.glob(PARTS[part])
    path.write_bytes(path.read_bytes() + b"\n")
    assert corpus_identity(corpus).digest != before.digest
    with pytest.raises(UserError, match=rf"not the one .* \({part} changed\)"):
        require_same_corpus(run.name, run.record.corpus, Corpus.open("tiny"))


def test_no_file_of_a_corpus_is_left_out(corpus: Corpus) -> None:
    """Each file or folder is a part, or is listed here as one that no training or test reads."""
    patterns = [pattern.partition("/")[0] for pattern in PARTS.values()]
    there = [path.name for path in corpus.folder.iterdir()]
    read = {name for name in there if any(fnmatch(name, pattern) for pattern in patterns)}
    assert len(read) == len(PARTS)
    assert set(there) - read <= NOT_READ


def test_the_probability_of_silence_counts(corpus: Corpus) -> None:
    """References' graphs are made from it, though no file of a graph holds it."""
    before = corpus_identity(corpus).digest
    path = corpus.folder / "corpus.json"
    info = json.loads(path.read_text())
    info["preparation"]["silence"] = 0.4
    path.write_text(json.dumps(info))
    assert corpus_identity(Corpus.open("tiny")).digest != before


def test_a_missing_part_is_named(corpus: Corpus) -> None:
    """A corpus without its search graph is a one-line mistake."""
    (corpus.folder / "denominator.safetensors").unlink()
    with pytest.raises(UserError, match=r"the search graph .* is missing"):
        corpus_identity(corpus)


def test_resume_and_replay_refuse_another_corpus(corpus: Corpus) -> None:
    """What both start with refuses a changed language model."""
    run = untrained(corpus, "a")
    path = corpus.folder / "lm-3.arpa"
    path.write_text(path.read_text() + "\n")
    prepare_differently(corpus.folder)
    with pytest.raises(UserError, match=r"n-gram changed"):
        runs.experiment_of(run)
    with pytest.raises(UserError, match=r"n-gram changed"):
        runs.resume(run)


def test_runs_from_before_parts_were_kept_are_still_resumed(corpus: Corpus) -> None:
    """Their digest covered fewer files; it is compared as it was made."""
    content = b"".join((corpus.folder / PARTS[part]).read_bytes() for part in FIRST_PARTS)
    first = CorpusIdentity("tiny", hashlib.sha256(content).hexdigest()[:16])
    require_same_corpus("a", first, corpus)
    with pytest.raises(UserError, match="not the one that it was trained on; prepare"):
        require_same_corpus("a", replace(first, digest="0" * 16), corpus)


def test_init_refuses_the_tied_states_of_another_corpus(corpus: Corpus) -> None:
    """Equal widths are not enough: the outputs must be the same states."""
    run = untrained(corpus, "a")
    other = other_states(corpus, "other")
    assert other.states.count == corpus.states.count
    with pytest.raises(UserError, match=f"--transfer {run.name}"):
        runs.starting_point(Task(other, SETTINGS), run)
    moved = runs.starting_point(Task(other, SETTINGS), runs.Transfer(run))
    assert moved.parent == Parent(
        parameters_digest(runs.load_model(run.folder / "model")[0]), transfer=run.name
    )
    assert runs.starting_point(Task(corpus, SETTINGS), run).parent.run == run.name


def test_a_model_is_not_used_with_other_tied_states(corpus: Corpus) -> None:
    """A corpus that was prepared again, with other states, is refused by test and decode."""
    run = untrained(corpus, "a")
    runs.trained_model(run)
    other = other_states(corpus, "other")
    shutil.copy(other.folder / "states.npz", corpus.folder / "states.npz")
    with pytest.raises(UserError, match="other tied states"):
        runs.trained_model(run)


def test_a_run_whose_parent_was_trained_again_is_refused(corpus: Corpus) -> None:
    """The parameters that a run started from must be those that its record names."""
    ce = untrained(corpus, "ce")
    start = runs.starting_point(Task(corpus, SETTINGS), ce)
    mmi = untrained(corpus, "mmi", start.parent)
    assert runs.experiment_of(mmi).task.settings == mmi.settings

    task = Task(corpus, SETTINGS)
    save_model(ce.folder / "model", initial(task.topology, 7), task.topology, {})
    with pytest.raises(UserError, match=f"the model of {ce.name}, .* has changed"):
        runs.experiment_of(mmi)


def test_a_run_on_another_corpus_of_the_same_name_is_not_the_same(corpus: Corpus) -> None:
    """A run is found again only on the corpus that it was trained on."""
    run = untrained(corpus, "a")
    assert runs.find_same_run(corpus, SETTINGS, "a") == run
    path = corpus.folder / "priors.npy"
    np.save(path, np.load(path) + np.float32(0.5))
    assert runs.find_same_run(Corpus.open("tiny"), SETTINGS, "a") is None


def test_a_run_from_before_a_setting_existed_is_the_same_run(corpus: Corpus) -> None:
    """It had the default of the setting, and is not trained again; another value is another run."""
    run = untrained(corpus, "before")
    path = run.folder / "settings.json"
    record = json.loads(path.read_text())
    for name in LATER:
        del record["settings"][name]
    path.write_text(json.dumps(record))

    wanted = SETTINGS.replace(seed=0)
    assert runs.find_same_run(corpus, wanted, "before") == run
    assert runs.find_same_run(corpus, wanted.replace(drift_every=50), "before") is None
    later = replace(run.record, settings=wanted.to_dict())
    assert later.digest == run.record.digest


def test_tests_depend_on_lexicon_and_language_models_only(corpus: Corpus) -> None:
    """A realigned corpus is tested with the same language; another n-gram is another one."""
    before = language_digest(corpus)
    np.save(corpus.folder / "priors.npy", np.load(corpus.folder / "priors.npy") + np.float32(1))
    assert language_digest(corpus) == before
    path = corpus.folder / "lm-3.arpa"
    path.write_text(path.read_text() + "\n")
    assert language_digest(corpus) != before
