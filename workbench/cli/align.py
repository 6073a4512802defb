"""``workbench align``: a corpus with the same frames, aligned anew by a network."""

import argparse
from dataclasses import dataclass

from workbench.cli.progress import bars
from workbench.cli.table_text import print_lines

EXAMPLES = """examples:
  workbench align ce --name icelandic-2"""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    name: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--name", required=True, help="name of the corpus to make")


def run(options: Options) -> None:
    """Align, and print what the new corpus holds."""
    from workbench.prepare.describe import describe
    from workbench.recognise.realign import realign
    from workbench.storage.run import find_run

    with bars() as progress:
        corpus = realign(find_run(options.run), options.name, progress)
        print_lines(describe(corpus))
