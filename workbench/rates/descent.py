"""The search for the largest learning rate at which sequence training converges stably.

Short trials of sequence training cannot tell small rates apart: what they gain is less than the
noise. They do show which rates are too large. So the first trial has a rate at which the model
hardly moves, and the others go from the largest rate down, each half of the one before. All trials
decode the same utterances in the same order, so two of them are compared utterance by utterance,
which takes away most of the noise. A rate is given up at the first part after which it is worse
than the first trial by more than `NOISE` standard errors of the difference over speakers. The first
rate that lasts is stable. It is compared with half of it in the same way; the smaller one takes its
place only if it is better by as much, and so on. Where the frames are used up before a rate has
lasted, the next smaller one is taken untried. Trials of MPE and sMBR are compared by MMI too, and
what counts is the criterion in which a rate is further behind.

One error is a narrow margin: a good rate is given up in one of some cases, and half of it taken,
which costs little. A rate that is too large costs much, and in a trial of a few hundred utterances
it is seldom behind by two errors (on two hours of speech 0.032 was 1.4 behind, and then lost a
third of its held-out criterion).
"""

from dataclasses import dataclass, replace

from workbench.model.threads import one_thread
from workbench.rates.trial import TOO_LONG
from workbench.rates.usual import rounded, usual_rate
from workbench.rates.work import SearchWork
from workbench.settings import Settings, UserError
from workbench.storage.rate_search import RateSearch, RateTrial

PARTS = 4
"""Parts of the data that a trial sees; after each it may be given up."""

ALL_PARTS = 16
"""Parts that all trials together may see: four whole trials, or more that are given up early."""

STEP = 2.0
LARGEST = 5
SMALLEST = -2
"""The rates that are tried, as powers of `STEP` times the usual one."""

CALM = -4
"""The power for the rate at which the model hardly moves."""

NOISE = 1.0
"""Standard errors by which one rate must be worse than another to count as worse."""


def calm_rate(settings: Settings) -> float:
    """Return the rate at which the model hardly moves."""
    return rounded(usual_rate(settings) * STEP**CALM)


def falling_rates(settings: Settings) -> list[float]:
    """Return the rates that are tried, the largest first."""
    usual = usual_rate(settings)
    return [rounded(usual * STEP**n) for n in range(LARGEST, SMALLEST - 1, -1)]


@dataclass(frozen=True)
class Descent:
    """A search from the largest rate down, under way."""

    work: SearchWork

    @one_thread()
    def run(self, search: RateSearch) -> RateSearch:
        """Return the search as far as it came; raises UserError if no rate converges."""
        calm = calm_rate(self.work.settings)
        search = self._advance(search, calm)
        if search.trial(calm).ended == TOO_LONG:
            return self.work.complete(search, usual_rate(self.work.settings), usual=True)
        if search.trial(calm).ended:
            raise UserError(
                f"not even learning_rate={calm:g} converges ({search.trial(calm).ended}): give one "
                "with --set learning_rate=…, or look at the model that training starts from"
            )

        chosen: float | None = None
        for rate in falling_rates(self.work.settings):
            search = self._advance(search, rate)
            if self.work.stop():
                return search

            trial = search.trial(rate)
            if chosen is None:
                chosen = None if trial.ended else rate
            elif self._replaces(trial, chosen):
                chosen = rate
            else:
                break

        return self.work.complete(search, calm if chosen is None else chosen)

    def _replaces(self, smaller: RateTrial, larger: float) -> bool:
        """Whether a smaller rate has lasted, and is better than the larger by more than noise."""
        if smaller.ended or len(smaller.points) < PARTS:
            return False
        ahead = self.work.trials.compare(larger, smaller.rate)
        return ahead.gain < -NOISE * ahead.error

    def _advance(self, search: RateSearch, rate: float) -> RateSearch:
        """Train a rate to its end, unless it is given up, the frames are used up, or work stops."""
        calm = calm_rate(self.work.settings)
        trial = search.trial(rate)
        while not trial.ended and len(trial.points) < PARTS:
            if self.work.stop() or search.frames + search.part > search.budget:
                break
            parts = len(trial.points) + 1
            trial = self.work.trials.advance(trial, parts, self.work.report(search))
            if not trial.ended and rate != calm:
                trial = self._compared(trial, calm)
            search = self.work.keep(search, trial)

        return search

    def _compared(self, trial: RateTrial, calm: float) -> RateTrial:
        """The trial with its last point compared with the calm one; given up if that is better."""
        ahead = self.work.trials.compare(trial.rate, calm)
        point = replace(trial.points[-1], gain=ahead.gain, error=ahead.error)
        compared = replace(trial, points=(*trial.points[:-1], point))
        if ahead.gain < -NOISE * ahead.error:
            what = f"worse than {calm:g} by {-ahead.gain:.2g} ± {NOISE * ahead.error:.2g}"
            return replace(compared, ended=what)
        return compared
