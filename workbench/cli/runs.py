"""``workbench runs``: the runs of months, listed, searched, annotated, compared, moved, deleted."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.storage.home import data_folder

if TYPE_CHECKING:
    from workbench.archive.entry import RunEntry
    from workbench.cli.table_text import TextColumn
    from workbench.settings import Value

EXAMPLES = """examples:
  workbench runs                                   all runs, the newest first
  workbench runs --where state=done --where 'test_wer<0.3' --sort test_wer
  workbench runs --where sweep=rates --columns learning_rate,seed,test_wer --csv
  workbench runs tag good ce-0b22cc39 mmi          put a tag on two runs
  workbench runs rename mmi "MMI, fresh lattices"  a title; the name stays
  workbench runs note mmi "beam was too narrow"    one note each; "" removes it
  workbench runs compare ce mmi                    the settings that differ
  workbench runs disk                              what takes the space
  workbench runs delete old                        named first if others depend on it
  workbench runs pack mmi --with-corpus            one file for a colleague
  workbench runs open mmi-0b22cc39.zip             and there
  workbench runs resume                            everything that was interrupted"""

RANKS = {
    "title": 5,
    "corpus": 4,
    "criterion": 6,
    "sweep": 8,
    "tags": 7,
    "started": 10,
    "MB": 11,
    "F_MMI": 9,
    "WER %": 1,
    "frame err %": 9,
    "test WER %": 1,
    "updates": 12,
}
"""How soon a column of the list is left out where the terminal is narrow, the highest first."""

SETTING_RANK = 2  # of the settings in which the listed runs differ
LONGEST_NOTE = 40  # characters of a title in the list


@dataclass(frozen=True)
class Options:
    """What the command line gave; fields without use for an action keep their defaults."""

    where: list[str]
    sort: str | None
    ascending: bool
    columns: str | None
    json: bool
    csv: bool
    action: str | None = None
    runs: tuple[str, ...] | list[str] = ()
    run: str = ""
    text: str | None = None
    tag: str = ""
    file: Path = Path()
    out: Path | None = None
    versions: bool = False
    with_dependants: bool = False
    with_corpus: bool = False
    without_checkpoints: bool = False


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the list, and the actions with theirs."""
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="list runs that meet this: =, !=, <, <=, >, >= or ~ (contains); may be repeated",
    )
    parser.add_argument("--sort", metavar="COLUMN", help="order of the list (default: started)")
    parser.add_argument(
        "--ascending", action="store_true", help="the smallest or oldest first, not last"
    )
    parser.add_argument(
        "--columns", metavar="A,B", help="columns of the list: facts, settings or numbers of runs"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, error rates as fractions")
    parser.add_argument("--csv", action="store_true", help="print CSV, error rates as fractions")
    add_actions(parser.add_subparsers(dest="action", metavar="ACTION"))


def add_actions(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add every action; without one, runs are listed."""
    tag = actions.add_parser("tag", help="put a tag on runs")
    tag.add_argument("tag")
    tag.add_argument("runs", nargs="+", metavar="RUN")
    untag = actions.add_parser("untag", help="take a tag off runs")
    untag.add_argument("tag")
    untag.add_argument("runs", nargs="+", metavar="RUN")
    note = actions.add_parser("note", help="write a note about a run, or print it")
    note.add_argument("run", metavar="RUN")
    note.add_argument("text", nargs="?", default=None)
    rename = actions.add_parser("rename", help="give a run a title; its name stays")
    rename.add_argument("run", metavar="RUN")
    rename.add_argument("text", metavar="TITLE")
    compare = actions.add_parser("compare", help="print the settings in which runs differ")
    compare.add_argument("runs", nargs="+", metavar="RUN")
    compare.add_argument("--versions", action="store_true", help="versions of packages too")
    actions.add_parser("disk", help="print what runs, corpora and reports take on disk")
    delete = actions.add_parser("delete", help="delete runs")
    delete.add_argument("runs", nargs="+", metavar="RUN")
    delete.add_argument(
        "--with-dependants",
        action="store_true",
        help="delete the runs and sweeps that started from them too",
    )
    pack = actions.add_parser("pack", help="write runs, and those they came from, into one file")
    pack.add_argument("runs", nargs="+", metavar="RUN")
    pack.add_argument("--out", type=Path, default=None, help="default: <first run>.zip")
    pack.add_argument("--with-corpus", action="store_true", help="the corpus too, for decoding")
    pack.add_argument("--without-checkpoints", action="store_true", help="smaller; no resuming")
    opened = actions.add_parser("open", help="put a packed run into this data folder")
    opened.add_argument("file", type=Path)
    resume = actions.add_parser("resume", help="resume runs; without names, all interrupted ones")
    resume.add_argument("runs", nargs="*", metavar="RUN")


def run(options: Options) -> int:
    """List runs, or carry out an action; return the exit code."""
    if options.action is not None:
        from workbench.cli.runs_actions import ACTIONS

        return ACTIONS[options.action](options)

    from workbench.archive.entry import read_entries
    from workbench.archive.query import Condition, select, sort_entries
    from workbench.storage.run import all_runs

    conditions = [Condition.parse(text) for text in options.where]
    found = select(read_entries(all_runs()), conditions)
    found = sort_entries(found, options.sort or "started", descending=not options.ascending)
    print_entries(found, options)
    return 0


def print_entries(found: "Sequence[RunEntry]", options: Options) -> None:
    """Print the list in the form that was asked for."""
    from workbench.archive.entry import FACTS, NUMBERS, swept_settings
    from workbench.archive.query import check_column
    from workbench.cli.table_text import csv_rows, json_rows, show, table_text, terminal_width

    if options.columns:
        given = options.columns.split(",")
        columns = ["run", *(check_column(name) for name in given if name != "run")]
    else:
        columns = [*FACTS, *NUMBERS]
        columns += [name for name in swept_settings(found) if name not in columns]

    rows = [[entry.value(column) for column in columns] for entry in found]
    if options.json:
        print(json.dumps(json_rows(columns, rows), indent=1, ensure_ascii=False))
    elif options.csv:
        print(csv_rows(columns, rows), end="")
    elif not found:
        print("no such runs" if options.where else f"no runs in {data_folder()} yet")
    elif options.columns:
        show(table_text(plain_columns(found, columns), terminal_width()))
    else:
        show(table_text(list_columns(found), terminal_width()))


def plain_columns(found: "Sequence[RunEntry]", columns: Sequence[str]) -> "list[TextColumn]":
    """The columns that were asked for; the last ones are left out first."""
    from workbench.cli.table_text import TextColumn

    made = []
    for rank, name in enumerate(columns):
        values = [entry.value(name) for entry in found]
        left = any(isinstance(value, str) for value in values)
        made.append(TextColumn(name, [value_text(value) for value in values], rank, left))
    return made


def list_columns(found: "Sequence[RunEntry]") -> "list[TextColumn]":
    """The columns of the list; one that is empty for every run is left out."""
    from workbench.archive.entry import swept_settings
    from workbench.cli.table_text import NOT_MEASURED, TextColumn

    def column(title: str, source: str, left: bool = True, percent: bool = False) -> TextColumn:
        values = [entry.value(source) for entry in found]
        cells = [percent_text(value) if percent else value_text(value) for value in values]
        return TextColumn(title, cells, RANKS.get(title, 0), left)

    shown = [column("run", "run")]
    titles = [value_text(entry.value("title"))[:LONGEST_NOTE] for entry in found]
    shown.append(TextColumn("title", titles, RANKS["title"], left=True))
    shown.append(column("state", "state"))
    for name in ("corpus", "criterion", "sweep", "tags"):
        shown.append(column(name, name))
    for name in swept_settings(found):
        if name != "criterion":
            values = [value_text(entry.value(name)) for entry in found]
            shown.append(TextColumn(name, values, SETTING_RANK))

    shown.append(column("F_MMI", "heldout_mmi", left=False))
    shown.append(column("WER %", "heldout_wer", left=False, percent=True))
    shown.append(column("frame err %", "frame_error", left=False, percent=True))
    shown.append(column("test WER %", "test_wer", left=False, percent=True))
    shown.append(column("updates", "updates", left=False))
    shown.append(column("started", "started"))
    shown.append(column("MB", "megabytes", left=False))
    return [c for c in shown if any(text not in ("", NOT_MEASURED) for text in c.cells)]


def value_text(value: "Value | None") -> str:
    """A value as text on one line; a dash for what was not measured."""
    from workbench.cli.table_text import NOT_MEASURED

    if value is None:
        return NOT_MEASURED
    if isinstance(value, float):
        return f"{value:.4g}"
    return " ".join(str(value).split())


def percent_text(value: "Value | None") -> str:
    """A fraction in percent."""
    if isinstance(value, int | float):
        return f"{100 * value:.1f}"
    return value_text(value)
