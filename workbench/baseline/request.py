"""What a person asks of a baseline."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from workbench.prepare.reading import Source
from workbench.settings import SETTINGS, UserError, Value, check_name, unknown_setting

CHOSEN_ELSEWHERE = ("criterion", "seed", "clock")
"""Settings that have an option of their own, or that a baseline does not leave open."""

RUN_WORDS = 24
"""Characters that the names of runs have besides that of the baseline, at most."""

Changes = Mapping[str, Value]


@dataclass(frozen=True)
class Request:
    """A baseline that is wanted; what is not given is chosen by the data.

    ``name``: of the corpus, and part of the names of runs. ``source``: where the data come from;
    None for a corpus that exists. ``preparation``: fields of `Preparation`. ``both``, ``frame`` and
    ``sequence``: settings of both trainings, of cross entropy and of sequence training.
    ``hours``: how long all of it may take; 0: as long as it takes. ``replicas``: by how many each
    sequence training is done, one training for each number; several run on the cost clock.

    Raises UserError for settings that cannot be given.
    """

    name: str
    source: Source | None = None
    preparation: Mapping[str, Value] = field(default_factory=dict)
    criterion: str = "mmi"
    seeds: tuple[int, ...] = (0,)
    both: Changes = field(default_factory=dict)
    frame: Changes = field(default_factory=dict)
    sequence: Changes = field(default_factory=dict)
    hours: float = 0.0
    replicas: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        check_name("baseline", self.name, RUN_WORDS)
        if self.criterion == "ce":
            raise UserError("criterion=ce: cross entropy is trained anyway; name what follows it")
        SETTINGS["criterion"].parse(self.criterion)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"seeds={self.seeds}: give each seed once")
        if not self.replicas or len(set(self.replicas)) < len(self.replicas):
            raise UserError(f"replicas={self.replicas}: give each number of replicas once")
        if not self.hours >= 0:
            raise UserError(f"hours={self.hours}: 0 or more")
        for name in (*self.both, *self.frame, *self.sequence):
            if name not in SETTINGS:
                raise UserError(unknown_setting(name))
            if name in CHOSEN_ELSEWHERE:
                raise UserError(f"{name}: a baseline has it as an option of its own, or not at all")

    @property
    def question(self) -> dict[str, object]:
        """What choices depend on, as JSON; those of an equal question can be used again."""
        named = ["criterion", "both", "frame", "sequence", "hours"]
        if self.hours and len(self.replicas) > 1:
            named.append("replicas")
        fields = asdict(self)
        return {name: fields[name] for name in named}
