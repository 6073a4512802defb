"""How long a baseline takes: foretold by a rehearsal, corrected by what its steps took."""

import time
from dataclasses import dataclass, field

from workbench.baseline.plan import Plan
from workbench.prepare.corpus import Corpus
from workbench.rates.search import SHARE
from workbench.rates.usual import usual_rate
from workbench.runs.task import Task
from workbench.storage.run import Run
from workbench.sweeping.price import Price
from workbench.sweeping.rehearsal import rehearse, rehearse_in_turn
from workbench.training import Diverged

FIRST_SHARE = 0.25
SMALLER = 10.0
LEAST_SHARE = 0.001
"""The rate of a rehearsal as a share of the usual one, and by what it falls if that diverges."""


@dataclass(frozen=True)
class Forecast:
    """Seconds that each kind of training takes with its test, the search for its rate apart."""

    frame: float
    sequence: float
    searches: tuple[bool, bool]  # whether a rate is to be found, for each kind
    refined: bool = False  # sequence training was rehearsed from a trained model

    def seconds(self, frames_to_do: int, sequences_to_do: int) -> float:
        """Return the seconds of so many trainings still to do; a rate is found once."""
        total = frames_to_do * self.frame + sequences_to_do * self.sequence
        if self.searches[0] and frames_to_do:
            total += SHARE * self.frame
        if self.searches[1] and sequences_to_do:
            total += SHARE * self.sequence
        return total


def foretell(corpus: Corpus, plan: Plan) -> Forecast:
    """Return a forecast before anything is trained.

    It rehearses some seconds of cross entropy, and sequence training from where that comes to.
    Decoding with so poor a model takes longer, so the second figure is rather too large. A step
    takes as long at any rate, so it is rehearsed at one so small that nothing diverges.
    """
    share = FIRST_SHARE
    while True:
        tasks = [
            Task(corpus, settings.replace(learning_rate=share * usual_rate(settings)))
            for settings in (plan.frame_settings, plan.sequence_settings)
        ]
        try:
            frame, sequence = rehearse_in_turn(*tasks)
            return _forecast(plan, frame, sequence)
        except Diverged:
            if share < LEAST_SHARE:
                raise
            share /= SMALLER


def foretell_again(corpus: Corpus, plan: Plan, trained: Run, before: Forecast) -> Forecast:
    """Return the forecast with sequence training rehearsed from a trained model."""
    settings = plan.sequence_settings
    calm = settings.replace(learning_rate=LEAST_SHARE * usual_rate(settings))
    sequence = rehearse(Task(corpus, calm), trained, test=True).price
    return Forecast(before.frame, sequence.seconds, before.searches, refined=True)


def _forecast(plan: Plan, frame: Price, sequence: Price) -> Forecast:
    searches = (plan.finds_rate(sequence=False), plan.finds_rate(sequence=True))
    return Forecast(frame.seconds, sequence.seconds, searches)


@dataclass
class Timer:
    """What a baseline has taken so far, for the lines that it prints."""

    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began
