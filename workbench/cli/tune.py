"""``workbench tune``: acoustic scale and prior scale, chosen on held-out data."""

import argparse
from dataclasses import dataclass

from workbench.cli.progress import bars

EXAMPLES = ""
ACOUSTIC_SCALES = [0.05, 0.1, 0.15, 0.2, 0.3]
PRIOR_SCALES = [1.0]


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    acoustic: list[float]
    prior: list[float]
    json: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    parser.add_argument(
        "--acoustic", nargs="+", type=float, default=ACOUSTIC_SCALES, help="acoustic scales to try"
    )
    parser.add_argument(
        "--prior", nargs="+", type=float, default=PRIOR_SCALES, help="prior scales to try"
    )
    parser.add_argument("--json", action="store_true", help="print a list with an object per pair")


def run(options: Options) -> None:
    """Print the held-out word error rate of each pair of scales, best first."""
    from workbench.recognise import evaluate
    from workbench.storage.run import find_run

    with bars() as progress:
        errors = evaluate.tune(find_run(options.run), options.acoustic, options.prior, progress)
    if options.json:
        print(errors.to_json(orient="records", indent=1))
    else:
        print(errors.to_string(index=False))
