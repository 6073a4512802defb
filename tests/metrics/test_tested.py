"""Tests of runs are compared only where they measured the same thing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.metrics.significance import Unit
from workbench.metrics.tested import NotComparable, compare_runs, comparison_with_parent
from workbench.settings import Settings, UserError
from workbench.storage.run import Run


@pytest.fixture
def runs(data_folder: Path) -> tuple[Run, Run]:
    """Two tested runs, the second with more errors."""
    return fake_run("a-0", Settings(), wrong=1), fake_run("b-0", Settings(), wrong=3)


def test_errors_are_those_of_the_transcripts(runs: tuple[Run, Run]) -> None:
    """Error rates, words and speakers are counted from the files of both runs."""
    found = compare_runs([runs[0]], [runs[1]])
    assert (found.wer_a, found.wer_b) == (1 / 16, 3 / 16)
    assert (found.words, found.units, found.unit) == (160, 7, Unit.SPEAKERS)
    assert not found.identical


def test_seeds_are_added_up(runs: tuple[Run, Run]) -> None:
    """Groups are compared by the sums of their errors."""
    found = compare_runs(runs, (runs[1], runs[1]))
    assert (found.wer_a, found.wer_b) == (2 / 16, 3 / 16)
    assert found.words == 320


def test_tests_of_the_same_model_are_identical(runs: tuple[Run, Run]) -> None:
    """Runs with equal rows are the same training, which is no evidence of anything."""
    again = fake_run("c-0", Settings.of(seed=1), wrong=1)
    assert compare_runs([runs[0]], [again]).identical


def test_without_speakers_utterances_are_taken(runs: tuple[Run, Run]) -> None:
    """Tests from before speakers were kept are compared by utterance, which the result says."""
    (runs[0].folder / "test.utt2spk").unlink()
    found = compare_runs([runs[0]], [runs[1]])
    assert (found.units, found.unit) == (20, Unit.UTTERANCES)


def _rename(run: Run) -> None:
    """Another test set."""
    for name in ("test.ref", "test.hyp", "test.utt2spk"):
        path = run.folder / name
        path.write_text(path.read_text().replace("u1", "v1"))


def _correct(run: Run) -> None:
    """The same utterances with another reference word."""
    path = run.folder / "test.ref"
    path.write_text(path.read_text().replace("u3 alpha", "u3 omega"))


def _search(run: Run) -> None:
    run.write_summary(replace(run.summary, test_search="graph 18:6:20000"))


def _language(run: Run) -> None:
    run.write_summary(replace(run.summary, test_language="1" * 16))


@pytest.mark.parametrize(
    "change, message",
    [
        (_rename, "different utterances: 20 and 20, of which 9 are the same"),
        (_correct, "different words for u3"),
        (_search, "different searches"),
        (_language, "different lexica or language models"),
    ],
)
def test_other_tests_are_not_compared(runs: tuple[Run, Run], change, message: str) -> None:
    """Another test set, reference, search or language model has no p-value, and says why."""
    runs[0].write_summary(replace(runs[0].summary, test_language="0" * 16))
    change(runs[1])
    with pytest.raises(NotComparable, match=message):
        compare_runs([runs[0]], [runs[1]])


def test_an_untested_run_is_named(runs: tuple[Run, Run]) -> None:
    """A run without transcripts is an error that names the command."""
    (runs[1].folder / "test.hyp").unlink()
    with pytest.raises(UserError, match="workbench test b-0"):
        compare_runs([runs[0]], [runs[1]])


def test_the_comparison_with_the_parent_is_kept(runs: tuple[Run, Run]) -> None:
    """The summary's comparison is read back whole; older summaries have none."""
    found = comparison_with_parent(runs[0])
    assert found is not None
    assert found.unit is Unit.SPEAKERS
    assert found.p == pytest.approx(0.21, abs=0.005)

    path = runs[1].folder / "summary.json"
    summary = json.loads(path.read_text())
    del summary["comparison"]
    path.write_text(json.dumps(summary))
    assert comparison_with_parent(runs[1]) is None
