"""A search for a learning rate, as it is kept with the corpus: which rates were tried, how far, and
what they reached.

The file holds no time, path or name of a machine, so it means the same wherever the corpus goes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.settings import UserError, Value
from workbench.storage.files import write_json
from workbench.storage.records import read_record


@dataclass(frozen=True)
class RatePoint:
    """What a trial has reached after training on ``frames``.

    ``gain``: by how much its criterion is above that of the trial whose model hardly moves, on the
    same utterances, or F_MMI where that is further behind (MPE, sMBR). ``error``: the standard
    error of this difference over speakers. None where trials were not compared so.
    """

    frames: int
    criterion: float  # per frame, on training data
    gain: float | None = None  # per frame
    error: float | None = None


@dataclass(frozen=True)
class RateTrial:
    """Training with one rate, for a short time; ``ended`` says why it ended early, if it did."""

    rate: float
    points: tuple[RatePoint, ...] = ()
    frames: int = 0  # seen, those of a part that diverged and those for measuring included
    ended: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))

    @property
    def reached(self) -> float | None:
        """The criterion at the trial's last point; None if it has none."""
        return self.points[-1].criterion if self.points else None


@dataclass(frozen=True)
class RateSearch:
    """All trials of a search, by rate, and the rate that was chosen once it is complete.

    ``settings``: the settings that a rate depends on, by flat name. ``start``: what training starts
    from, in words. ``part``: frames of the shortest trial. ``budget``: frames that all trials
    together may visit. ``served``: frames of the training that the search is for.
    """

    criterion: str
    settings: dict[str, Value]
    start: str
    part: int
    budget: int
    served: int
    trials: tuple[RateTrial, ...] = ()
    rate: float | None = None
    usual: bool = False  # the rate is the usual one, since the training is too short for a search

    def __post_init__(self) -> None:
        object.__setattr__(self, "trials", tuple(self.trials))

    @property
    def frames(self) -> int:
        """Frames that all trials have visited."""
        return sum(trial.frames for trial in self.trials)

    @property
    def found(self) -> float:
        """The rate of a complete search; UserError if it is not complete."""
        if self.rate is None:
            raise UserError("the search for a learning rate was stopped; start it again")
        return self.rate

    def trial(self, rate: float) -> RateTrial:
        """The trial of ``rate``, empty if it was not begun."""
        for trial in self.trials:
            if trial.rate == rate:
                return trial
        return RateTrial(rate)

    def __str__(self) -> str:
        if self.usual:
            return (
                f"learning_rate={self.found:g}: the usual one, since in {self.served:,} frames of "
                "training there are too few updates for a search"
            )
        ended = sum(bool(trial.ended) for trial in self.trials)
        share = self.frames / max(1, self.served)
        return (
            f"learning_rate={self.found:g}: {self._how_chosen}, of {len(self.trials)} rates, "
            f"{ended} of which were given up; the search took {self.frames:,} frames, "
            f"{share:.0%} of the training that it serves"
        )

    @property
    def _how_chosen(self) -> str:
        """What distinguishes the rate that was found."""
        if self.criterion == "ce":
            return "the best in short trials"
        if not self.trial(self.found).points:
            return "smaller than all that were too large, and not tried itself"
        return "the largest that was stable and not worse than a smaller one beyond the noise"


def write_search(path: Path, search: RateSearch) -> None:
    """Write a search to its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(search))


def read_search(path: Path) -> RateSearch:
    """Return the search in a file; UserError that names what is wrong with it."""
    return read_record(RateSearch, path)
