"""``workbench study``: the paper's experiments, each as a study that can be stopped and resumed."""

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.cli.exit_codes import FAILED, report_interruption
from workbench.cli.options import whole_number
from workbench.cli.progress import bars
from workbench.cli.table_text import print_lines, rows_text
from workbench.progress import counted, duration_text

if TYPE_CHECKING:
    from workbench.studies.plan import StudyPlan, StudyState

EXAMPLES = """examples:
  workbench study list
  workbench study e3 --size laptop --seeds 0,1,2 --budget 3h
  workbench study figures

WHICH is `list`, `figures`, or a study that `list` names. `figures` redraws every figure and every
page from the rows that are kept in data/results/studies, without training."""

MOST_JOBS = 1000
SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    which: str
    size: str
    seeds: Sequence[int] | None
    budget: float
    jobs: int
    retry: bool
    dry_run: bool
    json: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("which", metavar="WHICH", help="a study, or list, or figures")
    parser.add_argument(
        "--size",
        default="small",
        help="tiny (seconds), small (two hours of speech) or laptop (five) (default: small)",
    )
    parser.add_argument("--seeds", type=parse_seed_list, help="seeds (default: those of the size)")
    parser.add_argument(
        "--budget",
        type=parse_duration,
        default=0.0,
        metavar="3h",
        help="stop after so long, and go on when the command is repeated (default: no limit)",
    )
    parser.add_argument(
        "--jobs", type=whole_number(1, MOST_JOBS), default=1, help="runs side by side (default: 1)"
    )
    parser.add_argument("--retry", action="store_true", help="run failed cells again")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be run and how long it would take"
    )
    parser.add_argument("--json", action="store_true", help="with list: print it as JSON")


def parse_seed_list(text: str) -> list[int]:
    """Return the whole numbers in a list with commas."""
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write seeds as 0,1,2") from None


def parse_duration(text: str) -> float:
    """Return the seconds of a time such as ``90s``, ``20m`` or ``1.5h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|min|h)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r}: write a time as 90s, 20m or 3h")
    return float(found[1]) * SECONDS[found[2]]


def run(options: Options) -> int:
    """Run, list or redraw studies; return the exit code."""
    from workbench.studies.plan import plan_study

    if options.which == "list":
        print_list(options)
        return 0

    if options.which == "figures":
        return redraw()

    plan = plan_study(options.which, options.size, options.seeds)
    if options.dry_run:
        print_plan(plan, options.jobs)
        return 0

    return run_and_report(plan, options)


def run_and_report(plan: "StudyPlan", options: Options) -> int:
    """Run what is missing of a study, keep its rows, and print what they say."""
    from workbench.studies.collect import collect_study
    from workbench.studies.page import answer_lines, write_study
    from workbench.studies.plan import study_state
    from workbench.studies.run import run_study

    with bars() as progress:
        whole = run_study(plan, options.jobs, options.budget, options.retry, progress)
    results = collect_study(plan)
    if results.cells:
        page = write_study(results)
        print_lines("\n".join(answer_lines(results)))
        print(page)

    state = study_state(plan)
    rest = "" if state.complete else f"; {plan.command} goes on"
    print(f"{state.done} of {counted(state.cells, 'run')} done{rest}")
    if state.failed:
        return FAILED
    return 0 if whole else report_interruption()


def redraw() -> int:
    """Draw every figure and write every page again from the rows that are kept."""
    from workbench.studies.page import write_all_studies

    for page in write_all_studies():
        print(page)
    return 0


def print_list(options: Options) -> None:
    """Print what is done of every study, what is missing, and what that would take."""
    from workbench.studies.overview import all_states, total_minutes

    states = all_states(options.size, options.seeds)
    rows = [state_row(state) for state in states]
    if options.json:
        print(json.dumps(rows, indent=1))
        return

    print(rows_text(rows, ["study", "question", "missing corpora"]))
    left = duration_text(60 * total_minutes(states))
    print_lines(
        f"all that is missing at size {options.size}: about {left}, shared runs counted once"
    )


def state_row(state: "StudyState") -> dict[str, str]:
    """Return how far a study is, as a row of texts.

    Rows may be kept of runs that are not in the data folder, such as those that come with a clone.
    """
    from workbench.studies.rows import kept_seeds

    seeds = kept_seeds(state.plan.study.name, state.plan.size_name)
    return {
        "study": state.plan.study.name,
        "done": f"{state.done}/{state.cells}",
        "failed": str(state.failed),
        "kept seeds": ", ".join(str(seed) for seed in seeds) or "–",
        "left": duration_text(60 * state.minutes) if state.minutes else "nothing",
        "missing corpora": ", ".join(state.unprepared) or "–",
        "question": state.plan.study.title,
    }


def print_plan(plan: "StudyPlan", jobs: int) -> None:
    """Print every cell of a study, and what each arm would take by a rehearsal."""
    from workbench.sweeping import estimate_sweep

    for arm in plan.arms:
        if arm.prepared:
            print_lines(f"{arm.arm.name}: {estimate_sweep(arm.sweep, jobs)}")
        for planned in arm.cells():
            cell = planned.cell
            print_lines(f"  {planned.state:8} {cell.id}  seed {cell.seed}  {arm.label(cell.label)}")
