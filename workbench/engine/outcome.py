"""What an executor returns: a run that has ended, or that rests."""

from dataclasses import dataclass

from workbench.engine.clocks import TICKS
from workbench.engine.effects import Held


@dataclass(frozen=True, eq=False)
class Outcome:
    """The end of a run, or its state at rest."""

    ticks: int  # virtual time, microseconds
    returned: dict[str, object]  # state that each process returned
    channels: dict[str, Held]
    effects: int  # answered in this run
    work_seconds: float  # really spent in work and services in this run

    @property
    def seconds(self) -> float:
        """Virtual time in seconds."""
        return self.ticks / TICKS
