"""``workbench tune``: the scales of acoustics, priors and transitions, chosen on held-out data."""

import argparse
from dataclasses import dataclass

from workbench.cli.progress import bars
from workbench.cli.table_text import print_lines

EXAMPLES = ""
ACOUSTIC_SCALES = [0.05, 0.1, 0.15, 0.2, 0.3]
PRIOR_SCALES = [1.0]
TRANSITION_SCALES = [0.1, 0.3, 1.0]


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    acoustic: list[float]
    prior: list[float]
    json: bool
    transition: list[float]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    parser.add_argument(
        "--acoustic", nargs="+", type=float, default=ACOUSTIC_SCALES, help="acoustic scales to try"
    )
    parser.add_argument(
        "--prior", nargs="+", type=float, default=PRIOR_SCALES, help="prior scales to try"
    )
    parser.add_argument(
        "--transition",
        nargs="+",
        type=float,
        default=TRANSITION_SCALES,
        help="transition scales to try",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a list with an object per choice of scales"
    )


def run(options: Options) -> None:
    """Print the held-out word error rate of each choice of scales, best first.

    A grid whose best value lies at its edge is widened. What is still at an edge is said.
    """
    from workbench.recognise import evaluate, scale_grid
    from workbench.storage.run import find_run

    with bars() as progress:
        errors = evaluate.tune(
            find_run(options.run), options.acoustic, options.prior, progress, options.transition
        )
    if options.json:
        print(errors.to_json(orient="records", indent=1))
        return

    print(errors.to_string(index=False))
    for sentence in scale_grid.edges(errors):
        print_lines(sentence)
