"""Which corpus a run was trained on, and where it is found again."""

import shutil
from pathlib import Path

import pytest

from workbench.prepare.corpus import Corpus
from workbench.runs.record import PARTS, corpus_identity, corpus_of
from workbench.settings import Settings, UserError
from workbench.storage.files import write_json
from workbench.storage.run import Run, RunRecord, RunState
from workbench.storage.run_writer import RunWriter


def make_corpus(folder: Path, content: str = "x") -> Corpus:
    """A folder with the files that identify a corpus."""
    for pattern in PARTS.values():
        path = folder / pattern.replace("[2-9]", "3")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    write_json(folder / "corpus.json", {"preparation": {"silence": 0.5}})
    return Corpus(folder)


def run_on(corpus: Corpus, data_folder: Path) -> Run:
    """A run that was trained on a corpus."""
    record = RunRecord(Settings().to_dict(), corpus_identity(corpus))
    writer = RunWriter.create(data_folder / "runs", "run", record)
    writer.close(RunState.STOPPED)
    return writer.run


def test_a_corpus_elsewhere_is_found_again(data_folder: Path, tmp_path: Path) -> None:
    """The record keeps the folder of a corpus that does not lie under data/corpora."""
    corpus = make_corpus(tmp_path / "elsewhere" / "digits")
    run = run_on(corpus, data_folder)
    assert run.record.corpus.folder == str(corpus.folder)
    assert corpus_of(run) == corpus
    assert corpus_of(run).argument == run.record.corpus.argument == str(corpus.folder)


def test_a_corpus_of_the_data_folder_is_recorded_by_its_name(data_folder: Path) -> None:
    """The data folder can be moved with all runs, and the records are as they always were."""
    corpus = make_corpus(data_folder / "corpora" / "digits")
    run = run_on(corpus, data_folder)
    assert run.record.to_dict()["corpus"].keys() == {"name", "digest", "parts"}
    assert corpus_of(run) == corpus


def test_a_run_is_the_same_wherever_its_corpus_lies(data_folder: Path, tmp_path: Path) -> None:
    """The folder is not a part of what names a run."""
    here = corpus_identity(make_corpus(data_folder / "corpora" / "digits"))
    there = corpus_identity(make_corpus(tmp_path / "elsewhere" / "digits"))
    digests = {RunRecord(Settings().to_dict(), corpus).digest for corpus in (here, there)}
    assert here != there and len(digests) == 1


def test_a_corpus_that_is_gone_is_looked_for_by_its_content(
    data_folder: Path, tmp_path: Path
) -> None:
    """The same corpus under data/corpora will do, another one of the name is not taken."""
    corpus = make_corpus(tmp_path / "elsewhere" / "digits")
    run = run_on(corpus, data_folder)
    shutil.rmtree(corpus.folder)
    with pytest.raises(UserError, match=f"{run.name}: its corpus {corpus.folder} is gone"):
        corpus_of(run)

    make_corpus(data_folder / "corpora" / "digits", "another")
    with pytest.raises(UserError, match="is gone"):
        corpus_of(run)

    moved = make_corpus(data_folder / "corpora" / "digits")
    assert corpus_of(run) == moved
