"""``workbench test``: word error rate on the test set, with its interval and verdict."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import add_language_option, add_margin_option, add_search_option
from workbench.cli.progress import bars
from workbench.cli.table import runs_text
from workbench.cli.table_text import print_lines

if TYPE_CHECKING:
    from workbench.recognise.recogniser import Search

EXAMPLES = ""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    search: "Search"
    lm: Path | None
    margin: float
    json: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    add_search_option(parser)
    add_language_option(parser)
    add_margin_option(parser)
    parser.add_argument("--json", action="store_true", help="print the run's row as an object")


def run(options: Options) -> None:
    """Test the run, and print its row of the table and the verdict in full."""
    from workbench.figures.tables import no_path_sentence, run_row
    from workbench.recognise import evaluate
    from workbench.storage.run import find_run

    with bars() as progress:
        tested = evaluate.test(find_run(options.run), progress, options.search, options.lm)
    row = run_row(tested, options.margin)
    if options.json:
        print(json.dumps(row, indent=1))
        return

    print(runs_text([tested], options.margin))
    sentence = no_path_sentence(tested)
    if sentence:
        print_lines(sentence)
    if row["verdict"] is not None:
        print_lines(f"against {tested.record.parent_run}: {row['verdict']}")
