"""The panel of all runs: what it shows is on disk, and what it deletes it has named."""

from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench.notebook.panels import runs as runs_module
from workbench.notebook.panels.runs import RunsPanel, runs_panel
from workbench.settings import Settings, UserError
from workbench.storage.run import all_runs, find_run
from workbench.storage.run_notes import RunNotes, read_notes


@pytest.fixture
def panel(data_folder: Path) -> RunsPanel:
    """The panel with two runs, the second of which started from the first."""
    fake_run("a-00000000", Settings.of(learning_rate=0.125))
    fake_run("b-00000000", Settings.of(learning_rate=0.25), parent="a-00000000", wrong=2)
    return runs_panel()


def test_it_lists_filters_and_sorts(panel: RunsPanel) -> None:
    """The table has the swept settings; conditions and order act at once; mistakes are shown."""
    assert "learning_rate" in panel.table.value
    panel.sort.value = "test_wer"
    assert panel.chosen.options == ("b-00000000", "a-00000000")
    panel.where.value = "learning_rate<0.2"
    assert panel.chosen.options == ("a-00000000",)
    panel.status.line.value = ""
    with pytest.raises(UserError, match="did you mean"):
        panel.where.value = "learning_rat<1"
    assert "did you mean learning_rate" in panel.status.line.value


def test_long_lists_have_pages(panel: RunsPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run is on exactly one page."""
    monkeypatch.setattr(runs_module, "PAGE_LENGTH", 1)
    panel.list_runs()
    assert panel.page.max == 2
    first = panel.chosen.options
    panel.page.value = 2
    assert sorted(first + panel.chosen.options) == [run.name for run in all_runs()]


def test_notes_are_kept(panel: RunsPanel) -> None:
    """Title, tags and note of the chosen run are written and come back."""
    panel.chosen.value = ["a-00000000"]
    panel.title.value = "first"
    panel.tags.value = "x y"
    panel.note.value = "why"
    panel.save_notes()
    assert read_notes(find_run("a")) == RunNotes("first", ("x", "y"), "why")
    panel.chosen.value = ["b-00000000"]
    assert panel.title.value == ""
    panel.chosen.value = ["a-00000000"]
    assert panel.note.value == "why"


def test_comparing_and_packing(panel: RunsPanel, data_folder: Path) -> None:
    """Two runs are compared; a pack lies among the reports."""
    panel.chosen.value = ["a-00000000", "b-00000000"]
    panel.compare()
    assert "learning_rate" in panel.detail.value
    panel.pack()
    assert (data_folder / "reports" / f"{panel.chosen.value[0]}.zip").exists()
    panel.chosen.value = ["a-00000000"]
    with pytest.raises(UserError, match="at least two"):
        panel.compare()


def test_deletion_takes_two_clicks_and_a_tick(panel: RunsPanel) -> None:
    """The first click names what goes; without the tick what has dependants stays."""
    panel.chosen.value = ["a-00000000"]
    panel.delete()
    assert "b-00000000 started from a-00000000" in panel.status.line.value
    assert len(all_runs()) == 2
    with pytest.raises(UserError, match="not deleted"):
        panel.delete()
    panel.with_dependants.value = True
    panel.delete()
    assert len(all_runs()) == 2
    panel.delete()
    assert all_runs() == []
