"""``workbench test``: word error rate on the test set, with its interval and significance."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cli.options import add_search_option
from workbench.cli.progress import bars

if TYPE_CHECKING:
    from workbench.recognise.recogniser import Search

EXAMPLES = ""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    search: "Search"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    add_search_option(parser)


def run(options: Options) -> None:
    """Test the run and print its row of the table."""
    from workbench.figures.tables import text_table
    from workbench.recognise import evaluate
    from workbench.storage.run import find_run

    with bars() as progress:
        tested = evaluate.test(find_run(options.run), progress, options.search)
    print(text_table([tested]))
