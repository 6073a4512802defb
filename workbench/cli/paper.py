"""``workbench paper``: the paper's experiment at its size, from nothing to a report."""

import argparse
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cli.baseline import add_json_option, make_and_print
from workbench.cli.options import add_changes_options, parse_changes
from workbench.cli.table_text import print_lines
from workbench.settings import SETTINGS

if TYPE_CHECKING:
    from workbench.baseline import Request

EXAMPLES = """examples:
  workbench paper --foretell
  workbench paper --hours 0.16        # a rehearsal on ten minutes of speech
  workbench paper --hours 60

The command can be stopped and given again at any time: nothing is computed twice."""

DEFAULT_REPLICAS = "1,50"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line gave."""

    hours: float
    replicas: str
    jobs: int
    foretell: bool
    changes: list[str]
    frame: list[str]
    sequence: list[str]
    json: bool

    @property
    def replica_numbers(self) -> tuple[int, ...]:
        """The replicas of each sequence training."""
        return tuple(int(SETTINGS["replicas"].parse(n)) for n in self.replicas.split(","))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--hours", type=float, default=60.0, help="of training speech, at most 60 (default: 60)"
    )
    parser.add_argument(
        "--replicas",
        default=DEFAULT_REPLICAS,
        metavar="1,50",
        help=f"of each MMI training (default: {DEFAULT_REPLICAS})",
    )
    parser.add_argument(
        "--jobs", type=int, default=2, help="processes that synthesise speech (default: 2)"
    )
    parser.add_argument(
        "--foretell", action="store_true", help="only print how long each stage takes, and where"
    )
    add_changes_options(parser)
    add_json_option(parser)


def run(options: Options) -> None:
    """Make what is missing of the campaign, or foretell it."""
    from workbench.baseline.paper import paper_request, size_for

    size = size_for(options.hours)
    request = paper_request(
        size,
        options.replica_numbers,
        parse_changes(options.changes),
        parse_changes(options.frame, "--frame"),
        parse_changes(options.sequence, "--sequence"),
    )
    if options.foretell and options.json:
        print(forecast_json(size, request))
        return
    if options.foretell:
        print_forecast(size, request)
        return

    make_and_print(request, options.jobs, options.json)


def forecast_json(size: str, request: "Request") -> str:
    """Return the forecast as an object: the seconds of each stage on each machine."""
    from workbench.baseline.paper import MACHINES, not_foretold, stages_of

    stages = [
        {"stage": stage.name, "seconds": {m.name: round(stage.seconds(m)) for m in MACHINES}}
        for stage in stages_of(size, request)
    ]
    found = {"corpus": size, "stages": stages, "not_foretold": list(not_foretold(request))}
    return json.dumps(found, indent=1)


def print_forecast(size: str, request: "Request") -> None:
    """Print how long each stage takes on each machine, and where the speeds come from."""
    from tabulate import tabulate

    from workbench.baseline.paper import MACHINES, not_foretold, stages_of
    from workbench.progress import duration_text

    stages = stages_of(size, request)
    rows = [[s.name, *(duration_text(s.seconds(m)) for m in MACHINES)] for s in stages]
    totals = [duration_text(sum(s.seconds(m) for s in stages)) for m in MACHINES]
    rows.append(["all of it", *totals])
    headers = [f"corpus {size}", *(machine.name for machine in MACHINES)]
    print(tabulate(rows, headers, disable_numparse=True))
    for machine in MACHINES:
        print()
        print_lines(f"{machine.name}: {machine.source}")

    if size != "paper":
        print()
        print_lines(
            "a rehearsal takes less: speeds are those of the paper's network, and fewer hours of "
            "speech get a smaller one; without --foretell its time is said once it has begun"
        )

    unknown = not_foretold(request)
    if unknown:
        print()
        print_lines(f"speeds are those of the paper's settings; not foretold: {', '.join(unknown)}")
