"""One experiment: all groups of settings together, by flat names and back."""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from workbench.settings.description import (
    Group,
    Setting,
    Value,
    settings_of,
    taking_added_choices,
)
from workbench.settings.errors import UserError, did_you_mean
from workbench.settings.groups import (
    AsynchronySettings,
    BatchSettings,
    ClockSettings,
    CriterionSettings,
    LatticeSettings,
    MeasuringSettings,
    ModelSettings,
    UpdateSettings,
)

EXACT_CRITERIA = ("ce", "mmi", "mpe", "smbr")  # that need no lattice of the paths that compete
FACTORED_FRAMES = 64  # largest batch whose gradient a server multiplies as fast as it reads it


@dataclass(frozen=True)
class Settings:
    """All choices of one training run (a corpus has its own, in ``corpus.json``)."""

    model: ModelSettings = field(default_factory=ModelSettings)
    criterion: CriterionSettings = field(default_factory=CriterionSettings)
    lattices: LatticeSettings = field(default_factory=LatticeSettings)
    batches: BatchSettings = field(default_factory=BatchSettings)
    updates: UpdateSettings = field(default_factory=UpdateSettings)
    asynchrony: AsynchronySettings = field(default_factory=AsynchronySettings)
    clock: ClockSettings = field(default_factory=ClockSettings)
    measuring: MeasuringSettings = field(default_factory=MeasuringSettings)

    def __post_init__(self) -> None:
        criterion = self.criterion.name
        shuffling = self.batches.shuffling
        if shuffling not in ("none", "on-the-fly") and criterion != "ce":
            raise UserError(
                f"shuffling={shuffling} needs targets that are known before training, "
                f"so criterion=ce, not {criterion}"
            )
        virtual = self.clock.kind in ("cost", "measured")
        if self.asynchrony.push == "factors" and (self.asynchrony.push_every > 1 or virtual):
            raise UserError(
                "push=factors: sums of several batches (push_every) have no small factors, "
                "and virtual clocks have no price for the server's products"
            )
        if self.asynchrony.prefetch and (
            self.asynchrony.synchronous or self.asynchrony.consistent_fetch
        ):
            raise UserError(
                "prefetch: synchronous training and consistent_fetch fetch when all shards agree, "
                "not before"
            )
        if self.criterion.auxiliary == "reweighted" and (
            criterion not in ("ce", "mmi", "bmmi") or self.criterion.denominator != "lattice"
        ):
            raise UserError(
                "auxiliary=reweighted needs occupancies of numerator and denominator, so "
                "criterion=mmi or bmmi and denominator=lattice"
            )
        if self.lattices.engine == "exact" and criterion not in EXACT_CRITERIA:
            raise UserError(
                f"criterion={criterion} needs lattices, and lattice_engine=exact does not build any"
            )

    @classmethod
    def of(cls, **values: Value) -> "Settings":
        """Settings from flat names (``batch=32``); what is not given has its default.

        Raises UserError for an unknown name or a value outside its range.
        """
        for name in values:
            if name not in SETTINGS:
                raise UserError(unknown_setting(name))

        groups: dict[str, dict[str, Value]] = {name: {} for name in GROUPS}
        for name, value in values.items():
            described = SETTINGS[name]
            groups[described.group][described.attribute] = value
        make: Callable[..., Settings] = cls
        return make(**{name: _make_group(GROUPS[name], given) for name, given in groups.items()})

    @classmethod
    def of_record(cls, values: Mapping[str, Value]) -> "Settings":
        """Settings that a run was trained with, perhaps with a choice that is unknown here.

        A user may have added it in a module that this process has not imported. Looking at the run
        needs no such module; training with these settings does, and is refused by `of`.
        """
        with taking_added_choices():
            return cls.of(**values)

    def replace(self, **changes: Value) -> "Settings":
        """A copy with some settings, by flat name, changed; raises UserError for unknown names."""
        return Settings.of(**{**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Value]:
        """All settings by flat name."""
        return {
            name: getattr(getattr(self, described.group), described.attribute)
            for name, described in SETTINGS.items()
        }

    def digest(self, without: Collection[str] = ()) -> str:
        """Ten hexadecimal digits that name these settings but for some; see `identity_of`."""
        return digest_of(self.to_dict(), without)

    @property
    def seed(self) -> int:
        """Seed of every random stream."""
        return self.measuring.seed

    @property
    def sequence(self) -> bool:
        """Whether the criterion is one of whole sequences, so that decoders are needed."""
        return self.criterion.name != "ce"

    @property
    def factored(self) -> bool:
        """Whether a push carries factors: where chosen, or where the server adds them in one pass.

        Factors and gradients give the same bits.
        """
        asynchrony = self.asynchrony
        updates = self.updates
        if asynchrony.push != "auto":
            return asynchrony.push == "factors"
        one_pass = updates.optimizer == "sgd" and not (
            asynchrony.delay_compensation or asynchrony.synchronous or updates.max_norm
        )
        small = asynchrony.push_every == 1 and self.batches.size <= FACTORED_FRAMES
        return one_pass and small and self.clock.kind in ("free", "wall")


def _make_group(make: Callable[..., Group], given: dict[str, Value]) -> Group:
    return make(**given)


GROUPS: dict[str, type[Group]] = {
    "model": ModelSettings,
    "criterion": CriterionSettings,
    "lattices": LatticeSettings,
    "batches": BatchSettings,
    "updates": UpdateSettings,
    "asynchrony": AsynchronySettings,
    "clock": ClockSettings,
    "measuring": MeasuringSettings,
}
SETTINGS: dict[str, Setting] = {
    name: described
    for group, kind in GROUPS.items()
    for name, described in settings_of(kind, group).items()
}


LATER = ("one_silence_class", "drift_every", "slot_start")
"""Settings that came after runs, sweeps and searches had been named by the settings of then."""


BESIDE = ("drift_every",)
"""Settings that add rows to a run and leave all else of it as it is; cells are the same without."""


def identity_of(values: Mapping[str, Value]) -> dict[str, Value]:
    """Return the flat settings by which runs, sweeps and searches are compared and named.

    Those in `LATER` are left out while they have their defaults, so what was computed before they
    existed keeps its name and is found again.
    """
    return {
        name: value
        for name, value in values.items()
        if name not in LATER or value != SETTINGS[name].default
    }


def digest_of(values: Mapping[str, Value], without: Collection[str] = ()) -> str:
    """Return ten hexadecimal digits that name flat settings but for some; see `identity_of`."""
    identity = identity_of(values)
    named = {name: value for name, value in identity.items() if name not in without}
    text = json.dumps(named, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def unknown_setting(name: str) -> str:
    """The message about a setting that does not exist, with the nearest one that does."""
    hint = did_you_mean(name, SETTINGS) or "; `workbench train --help` lists all"
    return f"no such setting: {name}{hint}"
