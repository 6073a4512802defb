"""``workbench replay``: a recorded run is repeated, and compared call by call."""

import argparse
from dataclasses import dataclass

from workbench.cli.progress import bars

EXAMPLES = ""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN", help="a run that was recorded")


def run(options: Options) -> None:
    """Replay the run and print what was compared."""
    from workbench.runs.replay import replay
    from workbench.storage.run import find_run

    with bars() as progress:
        print(replay(find_run(options.run), progress))
