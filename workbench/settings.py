"""One experiment as a frozen record: every setting with its default, unit, range and one line of explanation.

Settings are grouped by what they are about (``settings.model``, ``settings.batches``, ...), so that a
function can ask for the group it reads. On the command line, in files and as axes of sweeps they have
flat names (``hidden_units``, ``batch``); `SETTINGS` maps each flat name to its description. The command
line, the widgets, the validation and the report's table are made from it.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import numpy as np

Value = bool | int | float | str

FACTORED_FRAMES = 64  # largest batch whose gradient a server multiplies as fast as it reads it


class UserError(Exception):
    """Something a user can mend; the message is one line that names file, line, utterance or setting."""


@dataclass(frozen=True)
class Setting:
    """One setting: what it is called, what it may be, and what it means."""

    name: str  # on the command line and in files
    group: str
    attribute: str  # within its group
    kind: type
    choices: tuple[str, ...]  # empty: any value of the kind
    default: Value
    doc: str
    unit: str
    low: float | None
    high: float | None

    def parse(self, value: Any) -> Any:
        """Return ``value``, possibly text, as this setting's kind; raise UserError outside its range or choices."""
        if self.choices:
            return self._parse_choice(value)
        if self.kind is bool:
            return self._parse_switch(value)
        if self.kind is str:
            return str(value)
        return self._parse_number(value)

    def _parse_choice(self, value: Any) -> str:
        if value not in self.choices:
            raise UserError(f"{self.name}={value!r}: choose one of {', '.join(self.choices)}")
        return str(value)

    def _parse_switch(self, value: Any) -> bool:
        if not isinstance(value, str):
            return bool(value)
        if value.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise UserError(f"{self.name}={value!r}: true or false")
        return value.lower() in ("true", "1", "yes")

    def _parse_number(self, value: Any) -> int | float:
        try:
            number = self.kind(value)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{self.name}={value!r}: not a {self.kind.__name__}") from None
        if self.kind is int and float(value) != number:
            raise UserError(f"{self.name}={value!r}: a whole number")
        too_low = self.low is not None and not number >= self.low
        too_high = self.high is not None and not number <= self.high
        if too_low or too_high:
            raise UserError(
                f"{self.name}={value}: between {self.low} and {self.high} {self.unit}".rstrip()
            )
        return number


def setting(
    default: Any,
    doc: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    name: str = "",
    group: str = "",
) -> Any:
    """A dataclass field that carries what a person needs to know about it.

    ``name`` is its flat name where that is not the name of the field; ``group`` a heading for forms.
    """
    about = {"doc": doc, "unit": unit, "low": low, "high": high, "name": name, "group": group}
    return field(default=default, metadata=about)


def settings_of(kind: type, group: str = "") -> dict[str, Setting]:
    """The settings that the fields of dataclass ``kind`` describe, by flat name."""
    found = {}
    for f in dataclasses.fields(kind):
        about: Mapping[str, Any] = f.metadata
        choices = get_args(f.type) if get_origin(f.type) is Literal else ()
        name = about["name"] or f.name
        found[name] = Setting(
            name=name,
            group=group or about["group"],
            attribute=f.name,
            kind=str if choices else f.type,  # type: ignore[arg-type]
            choices=choices,
            default=f.default,  # type: ignore[arg-type]
            doc=about["doc"],
            unit=about["unit"],
            low=about["low"],
            high=about["high"],
        )
    return found


class Group:
    """A group of settings, each checked against its range when the group is made."""

    def __post_init__(self) -> None:
        for described in settings_of(type(self)).values():
            value = described.parse(getattr(self, described.attribute))
            object.__setattr__(self, described.attribute, value)


@dataclass(frozen=True)
class ModelSettings(Group):
    """The network (paper, section 4.1)."""

    hidden_layers: int = setting(4, "hidden layers of rectified linear units", low=1, high=16)
    hidden_units: int = setting(1024, "units in each hidden layer", low=8, high=8192)
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "precision of the products in the network"
    )


@dataclass(frozen=True)
class CriterionSettings(Group):
    """What training maximises, and which frames count (paper, section 2)."""

    name: Literal["ce", "mmi", "bmmi", "mpe", "smbr"] = setting(
        "ce", "what training maximises", name="criterion"
    )
    acoustic_scale: float = setting(
        0.1, "kappa, the reciprocal of the language-model weight", low=0.001, high=2.0
    )
    prior_scale: float = setting(
        1.0, "exponent of the state prior that divides the posterior", low=0.0, high=2.0
    )
    rejection: float = setting(
        0.001,
        "frames whose reference occupancy in the lattice is below this are discarded",
        low=0.0,
        high=1.0,
    )
    cancellation: float = setting(
        0.01,
        "frames where numerator and denominator differ by less are not trained on",
        low=0.0,
        high=1.0,
    )
    boost: float = setting(0.0, "b of boosted MMI: paths gain b per wrong frame", low=0.0, high=2.0)
    smoothing: float = setting(
        0.0,
        "weight of cross entropy added to the sequence criterion (H-criterion); 0 in the paper",
        low=0.0,
        high=1.0,
    )
    denominator: Literal["lattice", "none-realigned", "none-fixed"] = setting(
        "lattice", "the lattice, or the controls without it: align often, or once (experiment E4a)"
    )
    auxiliary: Literal["frozen", "fresh", "proximal"] = setting(
        "frozen",
        "outer gradient kept as decoded (the paper), recomputed at the replica, or with a proximal term",
    )
    proximal: float = setting(
        1.0, "D, weight of the proximal term when auxiliary is proximal", low=0.0, high=100.0
    )


@dataclass(frozen=True)
class LatticeSettings(Group):
    """How lattices are made."""

    engine: Literal["auto", "native", "k2", "exact"] = setting(
        "auto",
        "which search makes lattices; exact: sums over all paths, for MMI on small graphs, or a GPU",
        name="lattice_engine",
    )
    beam: float = setting(10.0, "search beam", unit="log probability", low=0.5, high=100.0)
    lattice_beam: float = setting(
        6.0,
        "arcs on paths within this of the best one are kept",
        unit="log probability",
        low=0.5,
        high=100.0,
    )
    max_active: int = setting(
        3000, "graph states kept alive per frame", unit="states", low=10, high=1000000
    )


@dataclass(frozen=True)
class BatchSettings(Group):
    """How frames meet in batches (paper, section 3.1)."""

    shuffling: Literal["none", "on-the-fly", "full"] = setting(
        "on-the-fly", "how frames of utterances meet in a batch"
    )
    size: int = setting(
        200,
        "frames in a batch: 200 for CE, 32 for MMI in the paper",
        unit="frames",
        low=1,
        high=65536,
        name="batch",
    )
    epochs: float = setting(
        10.0, "passes over the training data", unit="epochs", low=0.0, high=1000.0
    )


@dataclass(frozen=True)
class UpdateSettings(Group):
    """What the parameter server does with a gradient."""

    optimizer: Literal["sgd", "momentum", "adagrad"] = setting(
        "sgd", "rule by which the parameter server applies a push"
    )
    learning_rate: float = setting(
        0.002, "step size per frame-averaged batch gradient", low=0.0, high=100.0
    )
    momentum: float = setting(
        0.9, "decay of the momentum, if that optimizer is chosen", low=0.0, high=0.9999
    )
    trained: Literal["all", "last", "last-without-silence"] = setting(
        "all", "which parameters are updated"
    )
    max_norm: float = setting(
        0.0,
        "largest Euclidean norm of one update before the learning rate; 0: no limit",
        low=0.0,
        high=1000000.0,
    )
    decay_factor: float = setting(
        10.0, "divisor of the learning rate when the held-out curve flattens", low=1.0, high=1000.0
    )
    decays: int = setting(
        2, "how often the learning rate may fall before training ends", low=0, high=10
    )
    patience: int = setting(
        2,
        "evaluations without gain before the learning rate falls",
        unit="evaluations",
        low=1,
        high=100,
    )
    flat: float = setting(
        0.002, "relative gain of the held-out criterion that counts as flat", low=0.0, high=1.0
    )
    warmup: int = setting(
        0,
        "updates over which the learning rate rises from a tenth to its value",
        unit="updates",
        low=0,
        high=10000000,
    )


@dataclass(frozen=True)
class AsynchronySettings(Group):
    """Who computes, and how old what it computes with may be (paper, section 3)."""

    replicas: int = setting(
        1, "model replicas, each on its own subset of the data", low=1, high=10000
    )
    shards: int = setting(1, "shards of the parameter server", low=1, high=256)
    fetch_every: int = setting(
        1, "batches between a replica's fetches", unit="batches", low=1, high=100000
    )
    push_every: int = setting(
        1, "batches whose gradients are summed before a push", unit="batches", low=1, high=100000
    )
    push: Literal["auto", "gradient", "factors"] = setting(
        "auto",
        "what a push carries: the gradient, or what it is the product of; auto: factors where that is faster",
    )
    prefetch: bool = setting(
        False,
        "fetch the next parameters while a gradient is computed: no waiting, one update older",
    )
    wire: Literal["float32", "bfloat16"] = setting(
        "float32",
        "precision of parameters and gradients on their way; bfloat16 is half as many bytes",
    )
    decoder_fetch: Literal["utterance", "utterances", "seconds", "synchronous"] = setting(
        "utterance",
        "when a decoder fetches: each utterance, every k, every T seconds, or all together every T seconds",
    )
    decoder_utterances: int = setting(
        1, "k of decoder_fetch=utterances", unit="utterances", low=1, high=1000000
    )
    decoder_seconds: float = setting(
        60.0, "T of decoder_fetch=seconds or synchronous", unit="s", low=0.0, high=1000000.0
    )
    channel: int = setting(
        4,
        "decoded utterances that may wait between a decoder and its replica",
        unit="utterances",
        low=1,
        high=10000,
    )
    staleness_bound: int = setting(
        0,
        "pushes older than this many updates are refused; 0: no bound",
        unit="updates",
        low=0,
        high=1000000,
    )
    staleness_step: bool = setting(False, "divide the step by the push's staleness")
    delay_compensation: float = setting(
        0.0, "lambda of the delay-compensated gradient; 0: off", low=0.0, high=10.0
    )
    consistent_fetch: bool = setting(False, "all shards of one fetch answer from one version")
    synchronous: bool = setting(False, "updates wait for all replicas less the backups")
    backups: int = setting(
        0, "slowest replicas that synchronous updates do not wait for", low=0, high=1000
    )


@dataclass(frozen=True)
class ClockSettings(Group):
    """What time is."""

    kind: Literal["free", "cost", "measured", "wall"] = setting(
        "free", "what time is: none, virtual by a model, virtual as measured, real", name="clock"
    )
    machine: str = setting(
        "paper",
        "model of the machine for clock=cost: a preset, or a file made by `workbench calibrate`",
    )


@dataclass(frozen=True)
class MeasuringSettings(Group):
    """When a run is measured and saved, and its seed."""

    evaluate_every: float = setting(
        0.5,
        "epochs between measurements on the held-out set",
        unit="epochs",
        low=0.001,
        high=1000.0,
    )
    evaluate_utterances: int = setting(
        0, "held-out utterances decoded each time; 0: all", unit="utterances", low=0, high=1000000
    )
    checkpoint_every: float = setting(
        0.5, "epochs between checkpoints", unit="epochs", low=0.001, high=1000.0
    )
    seed: int = setting(0, "seed of every random stream", low=0, high=2**31 - 1)


@dataclass(frozen=True)
class Settings:
    """All choices of one training run (a corpus has its own, in ``corpus.json``)."""

    model: ModelSettings = ModelSettings()
    criterion: CriterionSettings = CriterionSettings()
    lattices: LatticeSettings = LatticeSettings()
    batches: BatchSettings = BatchSettings()
    updates: UpdateSettings = UpdateSettings()
    asynchrony: AsynchronySettings = AsynchronySettings()
    clock: ClockSettings = ClockSettings()
    measuring: MeasuringSettings = MeasuringSettings()

    def __post_init__(self) -> None:
        criterion = self.criterion.name
        if self.batches.shuffling == "full" and criterion != "ce":
            raise UserError(
                "shuffling=full needs targets that are known before training, "
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
        if self.lattices.engine == "exact" and criterion in ("bmmi", "mpe", "smbr"):
            raise UserError(
                f"criterion={criterion} needs lattices, and lattice_engine=exact does not build any"
            )

    @classmethod
    def of(cls, **values: Any) -> "Settings":
        """Settings from flat names (``batch=32``); what is not given has its default.

        Raises UserError for an unknown name or a value outside its range.
        """
        unknown = sorted(set(values) - set(SETTINGS))
        if unknown:
            raise UserError(f"no such setting: {', '.join(unknown)}")
        groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
        for name, value in values.items():
            described = SETTINGS[name]
            groups[described.group][described.attribute] = value
        return cls(**{name: GROUPS[name](**given) for name, given in groups.items()})

    def replace(self, **changes: Any) -> "Settings":
        """A copy with some settings, by flat name, changed; raises UserError for unknown names."""
        return Settings.of(**{**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """All settings by flat name."""
        return {
            name: getattr(getattr(self, described.group), described.attribute)
            for name, described in SETTINGS.items()
        }

    def digest(self) -> str:
        """Ten hexadecimal digits that name these settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:10]

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
        asynchrony, updates = self.asynchrony, self.updates
        if asynchrony.push != "auto":
            return asynchrony.push == "factors"
        one_pass = updates.optimizer == "sgd" and not (
            asynchrony.delay_compensation or asynchrony.synchronous or updates.max_norm
        )
        small = asynchrony.push_every == 1 and self.batches.size <= FACTORED_FRAMES
        return one_pass and small and self.clock.kind in ("free", "wall")


GROUPS: dict[str, type[Any]] = {
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

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": dict(
        hidden_layers=1,
        hidden_units=32,
        epochs=2.0,
        batch=64,
        learning_rate=0.1,
        evaluate_every=1.0,
        checkpoint_every=1.0,
    ),
    "laptop": dict(hidden_layers=3, hidden_units=512, epochs=12.0, learning_rate=0.1),
    "icelandic": dict(hidden_layers=4, hidden_units=1024),
    "english": dict(hidden_layers=8, hidden_units=1024),
}
SEQUENCE: dict[str, Any] = dict(
    batch=32, learning_rate=0.002, epochs=4.0
)  # what a preset changes for sequence training


def preset(name: str, **changes: Any) -> Settings:
    """The named preset (``tiny``, ``laptop``, ``icelandic``, ``english``), with fields changed."""
    if name not in PRESETS:
        raise UserError(f"no such preset: {name}; choose one of {', '.join(PRESETS)}")
    sequence = changes.get("criterion", "ce") != "ce"
    return Settings().replace(**{**PRESETS[name], **(SEQUENCE if sequence else {}), **changes})


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """The random stream of (seed, names): adding another name changes no stream that exists."""
    words = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()[:16]
    return np.random.default_rng(np.frombuffer(words, np.uint32))
