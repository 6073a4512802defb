"""``workbench baseline``: from data to a report of cross entropy and sequence training."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from workbench.cli.options import add_changes_options, parse_changes
from workbench.cli.prepare import SourceOptions, add_preparation_options, add_source_options
from workbench.cli.progress import bars
from workbench.cli.table import runs_text
from workbench.cli.table_text import print_lines
from workbench.settings import SETTINGS, UserError

if TYPE_CHECKING:
    from workbench.baseline import Baseline, Request

EXAMPLES = """examples:
  workbench baseline mine --kaldi path/to/mine
  workbench baseline icelandic --synthetic is --size default --seeds 0,1,2
  workbench baseline mine --set hidden_units=256 --sequence learning_rate=0.001 --hours 2

The command can be stopped and given again at any time: nothing is computed twice."""


@dataclass(frozen=True, kw_only=True)
class Options(SourceOptions):
    """What the command line gave."""

    criterion: str
    seeds: str
    hours: float
    changes: list[str]
    frame: list[str]
    sequence: list[str]
    json: bool

    @property
    def has_source(self) -> bool:
        """Whether data are named; without any, the corpus exists."""
        return bool(self.synthetic or self.kaldi or self.lhotse)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("name", help="name of the corpus, prepared already or to be made")
    add_source_options(parser, required=False)
    parser.add_argument(
        "--criterion", default="mmi", help="what follows cross entropy (default: mmi)"
    )
    parser.add_argument("--seeds", default="0", metavar="0,1,2", help="seeds (default: 0)")
    parser.add_argument(
        "--hours", type=float, default=0.0, help="how long it may take (default: as it takes)"
    )
    add_changes_options(parser)
    add_preparation_options(parser)
    add_json_option(parser)


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of a baseline that other programs read."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the runs and the report's path as an object, all else as errors are printed",
    )


def run(options: Options) -> None:
    """Make what is missing of the baseline; its lines are printed as it goes."""
    from workbench.baseline import Request

    if options.preparation and not options.has_source:
        raise UserError(
            f"{options.name}: settings of a preparation need --kaldi, --lhotse or --synthetic"
        )
    request = Request(
        name=options.name,
        source=options.source if options.has_source else None,
        preparation=options.preparation,
        criterion=options.criterion,
        seeds=tuple(int(SETTINGS["seed"].parse(seed)) for seed in options.seeds.split(",")),
        both=parse_changes(options.changes),
        frame=parse_changes(options.frame, "--frame"),
        sequence=parse_changes(options.sequence, "--sequence"),
        hours=options.hours,
    )
    make_and_print(request, options.jobs, options.json)


def make_and_print(request: "Request", jobs: int, as_json: bool) -> None:
    """Make what is missing of a baseline, and tell a person or another program of it.

    Lines for a person are not printed among the object that another program reads.
    """
    from workbench.baseline import make_baseline
    from workbench.metrics.verdicts import MARGIN

    out: Callable[[str], None] = partial(print, file=sys.stderr) if as_json else print_lines
    table = partial(runs_text, margin=MARGIN)
    with bars() as progress:
        made = make_baseline(request, jobs=jobs, progress=progress, out=out, make_table=table)
    if as_json:
        print(baseline_json(made))


def baseline_json(made: "Baseline") -> str:
    """Return a baseline as an object: its corpus, rates that were found, runs, and the report."""
    from workbench.figures.tables import run_rows

    found = {
        "corpus": made.corpus.name,
        "learning_rates": {search.criterion: search.rate for search in made.searches},
        "runs": run_rows(made.runs),
        "report": str(made.report),
    }
    return json.dumps(found, indent=1)
