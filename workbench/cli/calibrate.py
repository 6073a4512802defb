"""``workbench calibrate``: measure this machine for the cost clock, and check what it foretells."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import parse_changes, whole_number
from workbench.cli.progress import bars
from workbench.cli.table_text import TextColumn, table_text, terminal_width
from workbench.settings import UserError

if TYPE_CHECKING:
    from workbench.runs.clock_check import ClockCheck

EXAMPLES = """examples:
  workbench calibrate mmi --out data/machines/desk.json
  workbench calibrate mmi --verify 1 2 4 --set epochs=2
  workbench calibrate mmi --verify 1 2 4 --slower 10 --set epochs=0.5"""

MOST_REPLICAS = 100
MOST_TIMES_SLOWER = 1000
REPLICAS = (1, 2, 4)
SECONDS = "_seconds"  # ends the name of an age in seconds; others are in updates


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    out: Path | None
    no_network: bool
    verify: list[int] | None
    slower: int | None
    changes: list[str]
    json: bool


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
    parser.add_argument(
        "--verify",
        nargs="*",
        type=whole_number(1, MOST_REPLICAS),
        metavar="REPLICAS",
        help="then train on this machine's clock and on a real cluster here, for each of these "
        "numbers of replicas (default: 1 2 4), and compare",
    )
    parser.add_argument(
        "--slower",
        type=whole_number(1, MOST_TIMES_SLOWER),
        metavar="FACTOR",
        help="with --verify: work takes so many times as long on either; the cluster's processes "
        "sleep for the rest, so they need no core each, and the rest of the clock is compared",
    )
    parser.add_argument(
        "--set",
        dest="changes",
        nargs="+",
        action="extend",
        default=[],
        metavar="FIELD=VALUE",
        help="with --verify: settings that differ from the run's, for example epochs=2",
    )
    parser.add_argument(
        "--json", action="store_true", help="with --verify: print a list with an object per number"
    )


def run(options: Options) -> None:
    """Measure, and print the file that was written; with ``--verify`` what it foretells."""
    from workbench.runs.calibrate import calibrate
    from workbench.storage.run import find_run

    if options.slower is not None and options.verify is None:
        raise UserError("--slower needs --verify: it changes the comparison, not what is measured")
    with bars() as progress:
        run = find_run(options.run)
        path = calibrate(run, options.out, not options.no_network, progress)
    if options.verify is None:
        print(path)
        return

    from workbench.runs.clock_check import check_clock

    replicas = options.verify or REPLICAS
    with bars() as progress:
        changes = parse_changes(options.changes)
        checks = check_clock(run, path, replicas, changes, progress, slower=options.slower)
    if options.json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
        return

    print(path)
    print(table_text(throughput_columns(checks), terminal_width()))
    print()
    print(table_text(age_columns(checks), terminal_width()))
    for check in checks:
        print(f"{check.replicas} replicas: {check.predicted_run}, {check.measured_run}")


def throughput_columns(checks: Sequence["ClockCheck"]) -> list[TextColumn]:
    """Return updates a second as foretold and as measured, a row for each number of replicas."""
    foretold = [
        TextColumn("replicas", [str(check.replicas) for check in checks]),
        TextColumn("updates/s foretold", [f"{check.predicted.updates:.3g}" for check in checks]),
    ]
    busy = [
        TextColumn("busy at once", [f"{check.predicted.busy:.1f}" for check in checks], 1),
        TextColumn("cores", [str(check.cores) for check in checks], 2),
        TextColumn("load before", [f"{check.load:.1f}" for check in checks], 3),
    ]
    late = [f"{100 * check.late:.1f}" for check in checks if check.late is not None]
    if late:
        return [
            *foretold,
            TextColumn("measured", [f"{check.measured.updates:.3g}" for check in checks]),
            TextColumn("foretold / measured", [f"{check.ratio:.2f}" for check in checks]),
            TextColumn("work late, %", late),
            *busy,
        ]
    return [
        *foretold,
        TextColumn("if cores are shared", [f"{check.shared_updates:.3g}" for check in checks]),
        TextColumn("measured", [f"{check.measured.updates:.3g}" for check in checks]),
        TextColumn("foretold / measured", [f"{check.ratio:.2f}" for check in checks]),
        TextColumn("shared / measured", [f"{check.shared_ratio:.2f}" for check in checks]),
        *busy,
    ]


def age_columns(checks: Sequence["ClockCheck"]) -> list[TextColumn]:
    """Return the ages of gradients as foretold and as measured, with the distances between them."""
    rows = [(check.replicas, age) for check in checks for age in check.ages]
    return [
        TextColumn("replicas", [str(replicas) for replicas, _ in rows]),
        TextColumn("age", [age.name.removesuffix(SECONDS) for _, age in rows], left=True),
        TextColumn("unit", [age_unit(age.name) for _, age in rows], left=True),
        TextColumn("mean foretold", [f"{age.predicted.mean:.3g}" for _, age in rows]),
        TextColumn("measured", [f"{age.measured.mean:.3g}" for _, age in rows]),
        TextColumn("95 % foretold", [f"{age.predicted.p95:.3g}" for _, age in rows], 1),
        TextColumn("95 % measured", [f"{age.measured.p95:.3g}" for _, age in rows], 1),
        TextColumn("KS", [f"{age.distance.kolmogorov_smirnov:.2f}" for _, age in rows]),
        TextColumn("Wasserstein", [f"{age.distance.wasserstein:.3g}" for _, age in rows]),
    ]


def age_unit(name: str) -> str:
    """Return the unit of an age of gradients."""
    return "s" if name.endswith(SECONDS) else "updates"
