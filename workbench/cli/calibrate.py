"""``workbench calibrate``: measure this machine for the cost clock."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from workbench.cli.progress import bars

EXAMPLES = """examples:
  workbench calibrate mmi --out data/machines/desk.json"""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    out: Path | None
    no_network: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "run",
        metavar="RUN",
        help="a run with a model; its corpus, network and settings are measured",
    )
    parser.add_argument(
        "--out", type=Path, default=None, help="file to write (default: data/machines/<host>.json)"
    )
    parser.add_argument(
        "--no-network",
        action="store_true",
        help="do not start a small Dask cluster to measure messages",
    )


def run(options: Options) -> None:
    """Measure, and print the file that was written."""
    from workbench.runs.calibrate import calibrate
    from workbench.storage.run import find_run

    with bars() as progress:
        run = find_run(options.run)
        print(calibrate(run, options.out, not options.no_network, progress))
