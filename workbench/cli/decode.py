"""``workbench decode``: transcribe audio files."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import add_search_option

if TYPE_CHECKING:
    from workbench.recognise.recogniser import Search

EXAMPLES = """examples:
  workbench decode mmi one.wav two.flac"""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    audio: list[Path]
    search: "Search"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("audio", nargs="+", type=Path)
    add_search_option(parser)


def run(options: Options) -> None:
    """Print one line per file: its path, a tab, and the words."""
    from workbench.recognise import evaluate
    from workbench.storage.run import find_run

    run = find_run(options.run)
    for path, words in evaluate.decode(run, options.audio, options.search):
        print(f"{path}\t{' '.join(words)}")
