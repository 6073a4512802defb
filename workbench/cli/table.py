"""``workbench table``: the numbers of runs, side by side."""

import argparse
import json
from dataclasses import dataclass

EXAMPLES = ""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    runs: list[str]
    json: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="runs to show (default: all)")
    parser.add_argument("--json", action="store_true", help="print a list with an object per run")


def run(options: Options) -> None:
    """Print the table."""
    from workbench.figures.tables import run_rows, text_table
    from workbench.storage.run import all_runs, find_run

    shown = [find_run(name) for name in options.runs] if options.runs else all_runs()
    print(json.dumps(run_rows(shown), indent=1) if options.json else text_table(shown))
