"""``workbench sweep``: many runs that differ in chosen settings."""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from workbench.cli.exit_codes import FAILED, report_interruption
from workbench.cli.options import (
    add_margin_option,
    add_settings_options,
    parse_changes,
    split_change,
    whole_number,
)
from workbench.cli.progress import bars
from workbench.cli.table_text import NOT_MEASURED, print_lines, rows_text
from workbench.settings import SETTINGS, UserError, idle_sentence

if TYPE_CHECKING:
    from workbench.sweeping import PlannedCell, Results, Sweep, SweepFields
    from workbench.sweeping.spec import SweepChanges

EXAMPLES = """examples:
  workbench sweep icelandic --axis shuffling=none,on-the-fly,full --seeds 0,1,2 --jobs 2
  workbench sweep icelandic --recipe e3-fetch-interval --init ce --dry-run"""
MOST_JOBS = 1000
PERCENT = ("heldout_wer", "frame_error", "test_wer")
TITLES = {
    "label": "setting",
    "n": "runs",
    "heldout_mmi": "F_MMI",
    "heldout_wer": "WER %",
    "frame_error": "frame err %",
    "test_wer": "test WER %",
}


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    corpus: str | None
    axis: list[str]
    seeds: str | None
    preset: str
    changes: list[str]
    init: str | None
    recipe: str | None
    size: str
    file: Path | None
    name: str | None
    jobs: int
    cluster: str | None
    rates: str
    no_test: bool
    retry: bool
    dry_run: bool
    json: bool
    margin: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("corpus", nargs="?", help="a prepared corpus")
    parser.add_argument(
        "--axis",
        action="append",
        default=[],
        metavar="FIELD=V1,V2,...",
        help="a setting and its values; may be repeated",
    )
    parser.add_argument("--seeds", help="seeds of every cell (default: 0)", metavar="0,1,2")
    add_settings_options(parser, "settings that all runs share")
    parser.add_argument("--init", metavar="RUN", help="all runs start from this run's model")
    parser.add_argument("--recipe", help="a ready-made sweep; `--recipe list` lists them")
    parser.add_argument(
        "--size",
        default="watch",
        help="size of the recipe: watch (at most ten minutes) or laptop (default: watch)",
    )
    parser.add_argument(
        "--file", type=Path, help="a sweep.json, for lists of points and random draws"
    )
    parser.add_argument(
        "--name",
        help="name of the sweep (default: made from corpus and axes); "
        "alone, it resumes the sweep of this name",
    )
    parser.add_argument(
        "--jobs", type=whole_number(1, MOST_JOBS), default=2, help="runs side by side (default: 2)"
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run cells as Dask tasks: local, or tcp://scheduler:8786 (workers share the data)",
    )
    parser.add_argument(
        "--rates",
        choices=("given", "auto"),
        default="given",
        help="auto: find the learning rate of every cell in short trials, seeds aside "
        "(default: given)",
    )
    parser.add_argument(
        "--no-test", action="store_true", help="do not test the models: faster, but no verdicts"
    )
    add_margin_option(parser)
    parser.add_argument("--retry", action="store_true", help="run failed cells again")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be run and how long it would take"
    )
    parser.add_argument(
        "--json", action="store_true", help="print an object per cell, error rates as fractions"
    )


def run(options: Options) -> int:
    """Run what is missing of the sweep and print its results; return the exit code."""
    from workbench import sweeping

    if options.recipe == "list":
        for name, question in sweeping.recipe_questions().items():
            print_lines(f"{name:28} {question}")
        return 0

    sweep = make_sweep(options)
    sweeping.refuse_idle_axes(sweep)
    for name, need in sweeping.idle_in_all_cells(sweep, sweep.settings).items():
        print(f"warning: {idle_sentence(name, need)}", file=sys.stderr)

    if options.json and options.dry_run:
        print(cells_json(sweeping.read_results(sweep)))
        return 0
    if not options.json:
        print_lines(f"sweep {sweep.name}: {sweeping.estimate_sweep(sweep, options.jobs)}")
    if options.dry_run:
        for planned in sweeping.plan_cells(sweep):
            cell = planned.cell
            print_lines(f"  {planned.state:8} {cell.id}  seed {cell.seed}  {cell.label}")
        return 0

    with bars() as progress, sweeping.cluster_executor(options.cluster, options.jobs) as executor:
        cells = sweeping.run_sweep(sweep, options.jobs, options.retry, progress, executor)

    found = sweeping.read_results(sweeping.find_sweep(sweep.name), margin=options.margin)
    if options.json:
        print(cells_json(found))
    else:
        print_lines(describe_results(found))
    return exit_code(cells)


def exit_code(cells: Sequence["PlannedCell"]) -> int:
    """Return what the command ends with: a cell that diverges is a result, unless all do."""
    from workbench.sweeping import CellState

    lost = (CellState.FAILED, CellState.DIVERGED)
    failed = any(cell.state == CellState.FAILED for cell in cells)
    if failed or all(cell.state in lost for cell in cells):
        return FAILED
    if any(cell.state.unfinished for cell in cells):
        return report_interruption()
    return 0


def cells_json(found: "Results") -> str:
    """Every cell with its setting, state, numbers and error, as JSON."""
    return str(found.table.to_json(orient="records", indent=1))


def make_sweep(options: Options) -> "Sweep":
    """Return the sweep of a file, a saved one (``--name`` alone), a recipe, or one of axes."""
    from workbench.storage.run import find_run
    from workbench.sweeping import find_sweep, read_recipe

    shared = shared_fields(options)
    if options.file:
        return sweep_of_file(options.file, options.corpus, shared)
    if not options.corpus:
        if not options.name:
            raise UserError("sweep: name a corpus, or give --name of a sweep to resume")
        return find_sweep(options.name)
    if options.recipe:
        shared["settings"] = dict(split_change(word, "--set") for word in options.changes)
        return read_recipe(
            options.recipe,
            options.corpus,
            options.size,
            find_run(options.init) if options.init else None,
            **shared,
        )
    return sweep_of_axes(options, options.corpus, shared)


def shared_fields(options: Options) -> "SweepChanges":
    """The fields of a sweep that options set whatever it is made from."""
    shared: SweepChanges = {}
    if options.name is not None:
        shared["name"] = options.name
    if options.seeds:
        shared["seeds"] = [int(SETTINGS["seed"].parse(seed)) for seed in options.seeds.split(",")]
    if options.rates != "given":
        shared["rates"] = options.rates
    if options.no_test:
        shared["test"] = False
    return shared


def sweep_of_file(path: Path, corpus: str | None, shared: "SweepChanges") -> "Sweep":
    """The sweep that a JSON file describes."""
    from workbench.storage.records import read_object
    from workbench.sweeping import Sweep

    described: SweepFields = cast("SweepFields", read_object(path))
    fields: SweepFields = {"name": path.stem, **described, **shared}
    if corpus:
        fields["corpus"] = corpus
    return Sweep.of(fields, path)


def sweep_of_axes(options: Options, corpus: str, shared: "SweepChanges") -> "Sweep":
    """The grid of the axes."""
    from workbench.sweeping import Sweep

    several_seeds = options.seeds is not None and "," in options.seeds
    if not options.axis and not several_seeds:
        raise UserError(
            "sweep: nothing varies; give --axis FIELD=V1,V2, --seeds 0,1, --recipe or --file "
            "(workbench train trains a single run)"
        )
    pairs = [split_change(word, "--axis") for word in options.axis]
    axes = {name: values.split(",") for name, values in pairs}
    fields: SweepFields = {
        "name": "-".join([Path(corpus).name, *axes]).replace("_", "-"),
        "corpus": corpus,
        "preset": options.preset,
        "settings": parse_changes(options.changes),
        "axes": axes,
        "init": options.init,
        **shared,
    }
    return Sweep(**fields)


def describe_results(results: "Results") -> str:
    """Means over seeds, states, errors and verdicts, for a terminal."""
    from workbench.sweeping import CellState, count_states
    from workbench.sweeping.results import result_sentences, verdict_sentence

    states = ", ".join(f"{n} {state}" for state, n in count_states(results.cells).items())
    errors = [
        f"{failed.cell.label}, seed {failed.cell.seed}: {failed.error}"
        for failed in results.cells
        if failed.state == CellState.FAILED
    ]
    lines = [groups_text(results), states, *errors]
    lines += result_sentences(results)
    if len(results.verdicts) > 1:  # a single one is in the sentences already
        lines += [f"  {verdict_sentence(verdict)}" for verdict in results.verdicts]
    return "\n".join(lines)


def groups_text(results: "Results") -> str:
    """Return the means of each setting over its seeds as a table, error rates in percent."""
    columns = [column for column in TITLES if column in results.groups]
    rows = [
        {TITLES[column]: group_cell(column, group[column]) for column in columns}
        for group in results.groups.to_dict("records")
    ]
    return rows_text(rows, [TITLES["label"]])


def group_cell(column: str, value: str | float) -> str:
    """Return what stands in a cell of the table; a dash for a mean of nothing."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return NOT_MEASURED
    return f"{100 * value if column in PERCENT else value:.4g}"
