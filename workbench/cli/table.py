"""``workbench table``: the numbers of runs, side by side."""

import argparse
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cli.options import add_margin_option
from workbench.storage.home import data_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.cli.table_text import TextColumn
    from workbench.storage.run import Run

EXAMPLES = ""

# How soon a column is left out where the terminal is narrow, the highest first.
RANKS = {
    "run": 0,
    "state": 1,
    "test WER %": 1,
    "WER %": 2,
    "95 % interval": 3,
    "criterion": 4,
    "F_MMI": 5,
}
OTHER_RANK = 9


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    runs: list[str]
    json: bool
    margin: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs to show (default: all)")
    parser.add_argument("--json", action="store_true", help="print a list with an object per run")
    add_margin_option(parser)


def run(options: Options) -> None:
    """Print the table."""
    from workbench.cli.table_text import print_lines, show
    from workbench.figures.tables import run_rows, verdict_note
    from workbench.storage.run import all_runs, find_run

    shown = [find_run(name) for name in options.runs] if options.runs else all_runs()
    if options.json:
        print(json.dumps(run_rows(shown, options.margin), indent=1))
        return
    if not shown:
        print(f"no runs in {data_folder()} yet")
        return
    show(runs_text(shown, options.margin))
    if any(run.summary.comparison for run in shown):
        print_lines(verdict_note(options.margin))


def runs_text(runs: "Sequence[Run]", margin: float) -> str:
    """Return a table of runs for the terminal; where it is narrow, what matters most stays."""
    from workbench.cli.table_text import table_text, terminal_width
    from workbench.figures.tables import display_rows

    return table_text(table_columns(display_rows(runs, margin)), terminal_width())


def table_columns(rows: "Sequence[Mapping[str, str]]") -> "list[TextColumn]":
    """The columns of the table; on a narrow terminal the least important are left out."""
    from workbench.cli.table_text import TextColumn
    from workbench.figures.tables import TEXT_COLUMNS

    columns = []
    for title in rows[0]:
        rank = RANKS.get(title, OTHER_RANK)
        cells = [row[title] for row in rows]
        columns.append(TextColumn(title, cells, rank, title in TEXT_COLUMNS))
    return columns
