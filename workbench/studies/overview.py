"""How far all studies of a size are."""

from collections.abc import Sequence

from workbench.studies.plan import StudyState, minutes_of_runs, plan_study, study_state
from workbench.studies.study import study_names
from workbench.sweeping.plan import run_name


def all_states(size: str, seeds: Sequence[int] | None = None) -> list[StudyState]:
    """Return how far each study is at a size; runs that have ended say what others take."""
    plans = [plan_study(name, size, seeds) for name in study_names()]
    known = {name: minutes for plan in plans for name, minutes in minutes_of_runs(plan).items()}
    return [study_state(plan, list(known.values())) for plan in plans]


def total_minutes(states: Sequence[StudyState]) -> float:
    """Return the minutes of everything that is missing; what studies share counts once."""
    missing: dict[str, float] = {}
    for state in states:
        for arm in state.plan.arms:
            for planned in arm.cells():
                if not planned.state.ended:
                    missing[run_name(arm.sweep, planned.cell)] = state.minutes_each

    return sum(missing.values())
