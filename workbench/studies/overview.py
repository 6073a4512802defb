"""How far all studies of a size are."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from workbench.studies.plan import StudyState, plan_study, study_state
from workbench.studies.study import study_names


def all_states(size: str, seeds: Sequence[int] | None = None) -> list[StudyState]:
    """Return how far each study is at a size; runs that have ended say what others take."""
    states = [study_state(plan_study(name, size, seeds)) for name in study_names()]
    took = {
        name: planned.price.seconds / 60
        for state in states
        for name, planned in state.by_run.items()
        if planned.price is not None and planned.price.seconds
    }
    if not took:
        return states
    mean = float(np.mean(list(took.values())))
    return [replace(state, minutes_each=mean) for state in states]


def total_minutes(states: Sequence[StudyState]) -> float:
    """Return the minutes of everything that is missing; what studies share counts once."""
    missing = {
        name: state.minutes_each
        for state in states
        for name, planned in state.by_run.items()
        if not planned.state.ended
    }
    return sum(missing.values())
