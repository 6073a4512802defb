"""``workbench decode``: transcribe audio files."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.exit_codes import print_error, print_remark
from workbench.cli.options import add_language_option, add_search_option, whole_number

if TYPE_CHECKING:
    from workbench.recognise.recogniser import Search

MOST_CHANNELS = 1023  # that libsndfile reads, less one

EXAMPLES = """examples:
  workbench decode mmi one.wav two.flac

A file that cannot be used is named on the error output and does not end the others; then the exit
code is 1."""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    audio: list[Path]
    search: "Search"
    lm: Path | None
    channel: int | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("audio", nargs="+", type=Path)
    add_search_option(parser)
    add_language_option(parser)
    parser.add_argument(
        "--channel",
        type=whole_number(0, MOST_CHANNELS),
        help="the channel to read, from 0 (default: the mean of all)",
    )


def run(options: Options) -> int:
    """Print one line per file: its path, a tab, and the words; return 1 if some have none.

    What is wrong with a file is told on the error output, and the others follow.
    """
    from workbench.recognise import evaluate
    from workbench.storage.run import find_run

    run = find_run(options.run)
    exit_code = 0
    for file in evaluate.decode(run, options.audio, options.search, options.channel, options.lm):
        if file.fault:
            exit_code = print_error(f"{file.path}: {file.fault}")
            continue
        if file.remark:
            print_remark(f"{file.path}: {file.remark}")
        print(f"{file.path}\t{' '.join(file.words)}", flush=True)
    return exit_code
