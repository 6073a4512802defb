"""``workbench report``: one self-contained page about runs or a sweep."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.cli.options import add_margin_option
from workbench.settings import UserError, no_such

if TYPE_CHECKING:
    from workbench.storage.run import Run

EXAMPLES = ""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    names: list[str]
    out: Path | None
    title: str | None
    bundle: bool
    interactive: bool
    margin: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("names", nargs="+", metavar="RUN|SWEEP")
    parser.add_argument(
        "--out",
        type=Path,
        default=None,
        help="file or folder to write to (default: data/reports/<names>.html)",
    )
    parser.add_argument("--title", default=None)
    parser.add_argument(
        "--bundle",
        action="store_true",
        help="a folder beside it with figures as SVG and PDF, tables as CSV and LaTeX, "
        "numbers as Parquet",
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="a page beside it whose curves can be zoomed, without network",
    )
    add_margin_option(parser)


def run(options: Options) -> None:
    """Write the report and print where it is."""
    from workbench.reports.report import Extras, write_report
    from workbench.reports.sweep_report import write_sweep_report
    from workbench.sweeping import find_sweep, read_results

    extras = Extras(options.bundle, options.interactive)
    shown = runs_or_none(options.names)
    if shown is None:
        swept = read_results(find_sweep(options.names[0]), margin=options.margin)
        print(write_sweep_report(swept, options.out, options.title, extras))
    else:
        print(write_report(shown, options.out, options.title, extras, options.margin))


def runs_or_none(names: list[str]) -> "list[Run] | None":
    """The runs of these names, or None if there is one name and it is a sweep's and no run's.

    Raises UserError if a name is neither.
    """
    from workbench.storage.run import all_runs, find_run
    from workbench.sweeping.spec import saved_sweeps

    sweeps = saved_sweeps()
    only = names[0] if len(names) == 1 else None
    try:
        return [find_run(name) for name in names]
    except UserError:
        if only is None:
            raise
        if only in sweeps:  # with which the names of its cells' runs begin
            return None
        runs = [run.name for run in all_runs()]
        if any(name.startswith(only) for name in runs):  # the name is ambiguous
            raise
        raise no_such("run or sweep", only, [*runs, *sweeps]) from None
