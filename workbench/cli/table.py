"""``workbench table``: the numbers of runs, side by side."""

import argparse
import json
from dataclasses import dataclass

from workbench.cli.options import add_margin_option

EXAMPLES = ""


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
    from workbench.figures.tables import run_rows, text_table, verdict_note
    from workbench.storage.run import all_runs, find_run

    shown = [find_run(name) for name in options.runs] if options.runs else all_runs()
    if options.json:
        print(json.dumps(run_rows(shown, options.margin), indent=1))
        return
    print(text_table(shown, options.margin))
    if any(run.summary.comparison for run in shown):
        print(verdict_note(options.margin))
