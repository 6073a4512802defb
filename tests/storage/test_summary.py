"""The summary of a run on disk."""

from pathlib import Path

import pytest

from workbench.settings import UserError
from workbench.storage.files import write_json
from workbench.storage.run import SUMMARY, Run
from workbench.storage.summary import RunSummary

SUMMARY_OF_TEST = RunSummary(updates=7, set_aside={"no path": 2}, test_wer=0.25, test_words=8)


def test_a_summary_comes_back(tmp_path: Path) -> None:
    """What was written is read again, and what was not measured is not in the file."""
    run = Run(tmp_path)
    assert run.summary == RunSummary()
    run.write_summary(SUMMARY_OF_TEST)
    assert run.summary == SUMMARY_OF_TEST
    assert run.summary.tested and not RunSummary(updates=7).tested
    assert "heldout_wer" not in (tmp_path / SUMMARY).read_text()


def test_summaries_of_other_versions_are_read(tmp_path: Path) -> None:
    """A null stands for what was not measured, and a number that is not known is left out."""
    write_json(tmp_path / SUMMARY, {"updates": 7, "frames_kept": None, "of_tomorrow": 1.5})
    assert Run(tmp_path).summary == RunSummary(updates=7)
    assert set(RunSummary().numbers().values()) == {None}


def test_a_damaged_summary_is_named(tmp_path: Path) -> None:
    """A file that holds something else is an error that names it."""
    write_json(tmp_path / SUMMARY, [1, 2])
    with pytest.raises(UserError, match=r"summary\.json: (damaged|must be)"):
        _ = Run(tmp_path).summary
