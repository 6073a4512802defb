"""The panel of all runs: a list to filter and sort, notes, what differs, a file, deletion."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import ipywidgets as W

from workbench.archive.deletion import Deletion, delete, plan_deletion
from workbench.archive.differences import differences
from workbench.archive.entry import (
    NUMBERS,
    RunEntry,
    read_entries,
    size_text,
    swept_settings,
)
from workbench.archive.pack import pack
from workbench.archive.query import Condition, select, sort_entries
from workbench.figures.sweep_matrix import cause_text
from workbench.figures.tables import NOT_MEASURED
from workbench.notebook.panels.parts import (
    RUN_LIST_WIDTH,
    WRAPPED,
    Status,
    button,
    display_panel,
    scrolled_html,
)
from workbench.reports.page import table_html
from workbench.settings import UserError, Value
from workbench.storage.home import data_folder
from workbench.storage.run import Run, all_runs, find_run
from workbench.storage.run_notes import RunNotes, read_notes, write_notes

LONGEST_ERROR = 60  # characters in the list; the report on the run has the whole
PAGE_LENGTH = 25  # runs in one page of the list
SHOWN = ("run", "title", "state", "corpus", "criterion", "sweep", "tags")
MEASURED = {"heldout_wer": "WER %", "test_wer": "test WER %"}
SORTS = ("started", "run", "state", "corpus", "megabytes", *NUMBERS)


class RunsPanel:
    """The widgets of the panel of all runs; `runs_panel` makes one."""

    def __init__(self) -> None:
        self.status = Status()
        self.table = W.HTML()
        self.detail = W.HTML()
        self.where = W.Text(
            description="where",
            placeholder="state=done test_wer<0.3 tags=good run~mmi",
            continuous_update=False,
            layout=W.Layout(width="32em"),
        )
        self.sort = W.Dropdown(options=SORTS, value="started", description="sort by")
        self.descending = W.Checkbox(value=True, description="largest or newest first")
        self.page = W.BoundedIntText(value=1, min=1, max=1, description="page")
        self.chosen = W.SelectMultiple(
            description="runs", rows=6, layout=W.Layout(width=RUN_LIST_WIDTH)
        )
        self.title = W.Text(description="title")
        self.tags = W.Text(description="tags", placeholder="separated by spaces")
        self.note = W.Textarea(description="note", layout=W.Layout(width="32em"))
        self.with_dependants = W.Checkbox(
            value=False, description="delete what depends on it too", indent=False
        )
        self._waiting: list[str] = []  # names of runs whose deletion was asked for once
        self.widget = self._layout()

        for widget in (self.where, self.sort, self.descending, self.page):
            widget.observe(self.status.guard(self.list_runs), "value")
        self.chosen.observe(self.status.guard(self._show_notes), "value")
        self.list_runs()

    def _layout(self) -> W.VBox:
        status = self.status
        actions = [
            button("Refresh", self.list_runs, status, help="read all runs from disk again"),
            button("Compare", self.compare, status, help="the settings in which runs differ"),
            button("Pack", self.pack, status, help="one file for a colleague, beside the reports"),
            button("Delete", self.delete, status, "danger", "a second click deletes"),
            self.with_dependants,
        ]
        notes = W.VBox(
            [
                self.title,
                self.tags,
                self.note,
                button(
                    "Save notes", self.save_notes, status, help="title, tags and note of one run"
                ),
            ]
        )
        return W.VBox(
            [
                W.HBox([self.where, self.sort, self.descending, self.page], layout=WRAPPED),
                self.table,
                W.HBox([self.chosen, notes], layout=WRAPPED),
                W.HBox(actions, layout=WRAPPED),
                self.status.widget,
                self.detail,
            ]
        )

    def list_runs(self) -> None:
        """Read all runs and show the page of those that meet the conditions."""
        conditions = [Condition.parse(text) for text in self.where.value.split()]
        found = select(read_entries(all_runs()), conditions)
        found = sort_entries(found, self.sort.value, self.descending.value)

        self.page.max = max(1, -(-len(found) // PAGE_LENGTH))
        first = PAGE_LENGTH * (self.page.value - 1)
        shown = found[first : first + PAGE_LENGTH]
        self.table.value = scrolled_html([table_html(entry_rows(shown))]) or "no runs"

        kept = [name for name in self.chosen.value if name in {entry.name for entry in shown}]
        self.chosen.options = [entry.name for entry in shown]
        self.chosen.value = kept
        last = first + len(shown)
        self.status.show_message(f"runs {min(first + 1, last)} to {last} of {len(found)}")

    def _chosen(self) -> list[Run]:
        if not self.chosen.value:
            raise UserError("choose a run in the list of names")
        return [find_run(name) for name in self.chosen.value]

    def _chosen_one(self) -> Run:
        runs = self._chosen()
        if len(runs) > 1:
            raise UserError("choose one run, not several")
        return runs[0]

    def _show_notes(self) -> None:
        self._waiting = []
        if len(self.chosen.value) != 1:
            return
        notes = read_notes(self._chosen_one())
        self.title.value = notes.title
        self.tags.value = " ".join(notes.tags)
        self.note.value = notes.text

    def save_notes(self) -> None:
        """Write title, tags and note of the chosen run."""
        run = self._chosen_one()
        tags = tuple(self.tags.value.split())
        write_notes(run, RunNotes(self.title.value, tags, self.note.value))
        self.list_runs()
        self.status.show_message(f"{run.name}: notes saved")

    def compare(self) -> None:
        """Show the settings in which the chosen runs differ."""
        runs = self._chosen()
        if len(runs) < 2:
            raise UserError("choose at least two runs")
        rows = [
            {"": one.name, **{r.name: str(v) for r, v in zip(runs, one.values, strict=True)}}
            for one in differences(runs, versions=False)
        ]
        self.detail.value = scrolled_html([table_html(rows)])
        self.status.show_message(f"{len(rows)} settings differ")

    def pack(self) -> None:
        """Write the chosen runs into one file among the reports."""
        runs = self._chosen()
        out = data_folder() / "reports" / f"{runs[0].name}.zip"
        packed = pack(runs, out)
        self.status.show_message(f"{out}: {', '.join(packed.runs)}, {size_text(packed.size)}")

    def delete(self) -> None:
        """Delete the chosen runs at the second click; the first names what would go."""
        runs = self._chosen()
        deletion = plan_deletion(runs)
        names = [run.name for run in runs]
        if self._waiting != names:
            self._waiting = names
            self.status.show_message(deletion_text(deletion), alarm=True)
            return

        self._waiting = []
        folders: Sequence[Path] = delete(deletion, self.with_dependants.value)
        self.list_runs()
        self.status.show_message(f"deleted: {', '.join(folder.name for folder in folders)}")

    def _ipython_display_(self) -> None:
        display_panel(self.widget, [])


def entry_rows(entries: Sequence[RunEntry]) -> list[dict[str, str]]:
    """Return the list as text: facts, the settings in which these runs differ, error rates."""
    swept = [name for name in swept_settings(entries) if name not in SHOWN]
    rows = []
    for entry in entries:
        row = {name: _cell_text(entry.value(name)) for name in (*SHOWN, *swept)}
        for name, title in MEASURED.items():
            value = entry.value(name)
            row[title] = f"{100 * value:.1f}" if isinstance(value, float) else NOT_MEASURED
        row["started"] = _cell_text(entry.value("started"))
        row["size"] = size_text(entry.size)
        row["error"] = textwrap.shorten(cause_text(entry.error), LONGEST_ERROR, placeholder=" …")
        rows.append(row)
    return rows


def _cell_text(value: Value | None) -> str:
    if value is None:
        return NOT_MEASURED
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def deletion_text(deletion: Deletion) -> str:
    """Return what a deletion would take, and what stands in its way."""
    names = ", ".join(run.name for run in deletion.asked)
    text = f"{names}: click Delete again to free {size_text(deletion.size)}"
    if deletion.reasons:
        text += f"; tick the box, since {'; '.join(deletion.reasons)}"
    return text


def runs_panel() -> RunsPanel:
    """Return the panel of all runs; a cell displays it."""
    return RunsPanel()
