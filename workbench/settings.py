"""One experiment as a frozen record: every field with its unit, range and a one-line explanation.

The command line, the widgets, the validation, the report's table and the axes of a sweep are read from this list.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import numpy as np


class UserError(Exception):
    """Something a user can mend; its message is one line that names the file, line, utterance or setting."""


FACTORED = 64  # frames of a batch up to which a server multiplies as soon as it reads a gradient


def setting(
    default: Any,
    group: str,
    doc: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A dataclass field that carries what a person needs to know of it."""
    return field(
        default=default,
        metadata={"group": group, "doc": doc, "unit": unit, "low": low, "high": high},
    )


@dataclass(frozen=True)
class Settings:
    """All choices of one training run (the corpus has its own, ``corpus.json``)."""

    # --- model (paper section 4.1)
    hidden_layers: int = setting(
        4, "model", "hidden layers of rectified linear units", low=1, high=16
    )
    hidden_units: int = setting(1024, "model", "units in each hidden layer", low=8, high=8192)

    # --- criterion (paper section 2)
    criterion: Literal["ce", "mmi", "bmmi", "mpe", "smbr"] = setting(
        "ce", "criterion", "what training maximises"
    )
    acoustic_scale: float = setting(
        0.1, "criterion", "kappa, the reciprocal of the language-model weight", low=1e-3, high=2.0
    )
    prior_scale: float = setting(
        1.0,
        "criterion",
        "exponent of the state prior that divides the posterior",
        low=0.0,
        high=2.0,
    )
    rejection: float = setting(
        0.001,
        "criterion",
        "frames whose reference occupancy in the lattice is below this are discarded",
        low=0.0,
        high=1.0,
    )
    cancellation: float = setting(
        0.01,
        "criterion",
        "frames where numerator and denominator differ by less are not trained on",
        low=0.0,
        high=1.0,
    )
    boost: float = setting(
        0.0, "criterion", "b of boosted MMI: paths gain b per wrong frame", low=0.0, high=2.0
    )
    smoothing: float = setting(
        0.0,
        "criterion",
        "weight of cross entropy added to the sequence criterion (H-criterion); 0 in the paper",
        low=0.0,
        high=1.0,
    )
    denominator: Literal["lattice", "none-realigned", "none-fixed"] = setting(
        "lattice",
        "criterion",
        "the lattice, or the controls without it: align often, or once (experiment E4a)",
    )
    auxiliary: Literal["frozen", "fresh", "proximal"] = setting(
        "frozen",
        "criterion",
        "outer gradient kept as decoded (the paper), recomputed at the replica, or with a proximal term",
    )
    proximal: float = setting(
        1.0,
        "criterion",
        "D, weight of the proximal term when auxiliary is proximal",
        low=0.0,
        high=100.0,
    )

    # --- lattices
    lattice_engine: Literal["auto", "native", "k2", "exact"] = setting(
        "auto",
        "lattices",
        "which search makes lattices; exact: sums over all paths, for MMI on small graphs, or a GPU",
    )
    beam: float = setting(10.0, "lattices", "search beam", "log probability", low=0.5, high=100.0)
    lattice_beam: float = setting(
        6.0,
        "lattices",
        "arcs on paths within this of the best one are kept",
        "log probability",
        low=0.5,
        high=100.0,
    )
    max_active: int = setting(
        3000, "lattices", "graph states kept alive per frame", "states", low=10, high=1_000_000
    )

    # --- batches (paper section 3.1)
    shuffling: Literal["none", "on-the-fly", "full"] = setting(
        "on-the-fly", "batches", "how frames of utterances meet in a batch"
    )
    batch: int = setting(
        200,
        "batches",
        "frames in a batch: 200 for CE, 32 for MMI in the paper",
        "frames",
        low=1,
        high=65536,
    )
    epochs: float = setting(
        10.0, "batches", "passes over the training data", "epochs", low=0.0, high=1000.0
    )

    # --- updates
    optimizer: Literal["sgd", "momentum", "adagrad"] = setting(
        "sgd", "updates", "rule by which the parameter server applies a push"
    )
    learning_rate: float = setting(
        0.002, "updates", "step size per frame-averaged batch gradient", low=0.0, high=100.0
    )
    momentum: float = setting(
        0.9, "updates", "decay of the momentum, if that optimizer is chosen", low=0.0, high=0.9999
    )
    trained: Literal["all", "last", "last-without-silence"] = setting(
        "all", "updates", "which parameters are updated"
    )
    max_norm: float = setting(
        0.0,
        "updates",
        "largest Euclidean norm of one update before the learning rate; 0: no limit",
        low=0.0,
        high=1e6,
    )
    decay_factor: float = setting(
        10.0,
        "updates",
        "divisor of the learning rate when the held-out curve flattens",
        low=1.0,
        high=1000.0,
    )
    decays: int = setting(
        2, "updates", "how often the learning rate may fall before training ends", low=0, high=10
    )
    patience: int = setting(
        2,
        "updates",
        "evaluations without gain before the learning rate falls",
        "evaluations",
        low=1,
        high=100,
    )
    flat: float = setting(
        0.002,
        "updates",
        "relative gain of the held-out criterion that counts as flat",
        low=0.0,
        high=1.0,
    )
    warmup: int = setting(
        0,
        "updates",
        "updates over which the learning rate rises from a tenth to its value",
        "updates",
        0,
        10_000_000,
    )

    # --- asynchrony (paper section 3)
    replicas: int = setting(
        1, "asynchrony", "model replicas, each on its own subset of the data", low=1, high=10_000
    )
    shards: int = setting(1, "asynchrony", "shards of the parameter server", low=1, high=256)
    fetch_every: int = setting(
        1, "asynchrony", "batches between a replica's fetches", "batches", low=1, high=100_000
    )
    push_every: int = setting(
        1,
        "asynchrony",
        "batches whose gradients are summed before a push",
        "batches",
        low=1,
        high=100_000,
    )
    push: Literal["auto", "gradient", "factors"] = setting(
        "auto",
        "asynchrony",
        "what a push carries: the gradient, or what it is the product of; auto: factors where that is faster",
    )
    prefetch: bool = setting(
        False,
        "asynchrony",
        "fetch the next parameters while a gradient is computed: no waiting, one update older",
    )
    wire: Literal["float32", "bfloat16"] = setting(
        "float32",
        "asynchrony",
        "precision of parameters and gradients on their way; bfloat16 is half as many bytes",
    )
    decoder_fetch: Literal["utterance", "utterances", "seconds", "synchronous"] = setting(
        "utterance",
        "asynchrony",
        "when a decoder fetches: each utterance, every k, every T seconds, or all together every T seconds",
    )
    decoder_utterances: int = setting(
        1, "asynchrony", "k of decoder_fetch=utterances", "utterances", low=1, high=1_000_000
    )
    decoder_seconds: float = setting(
        60.0, "asynchrony", "T of decoder_fetch=seconds or synchronous", "s", low=0.0, high=1e6
    )
    channel: int = setting(
        4,
        "asynchrony",
        "decoded utterances that may wait between a decoder and its replica",
        "utterances",
        low=1,
        high=10_000,
    )
    staleness_bound: int = setting(
        0,
        "asynchrony",
        "pushes older than this many updates are refused; 0: no bound",
        "updates",
        0,
        1_000_000,
    )
    staleness_step: bool = setting(False, "asynchrony", "divide the step by the push's staleness")
    delay_compensation: float = setting(
        0.0, "asynchrony", "lambda of the delay-compensated gradient; 0: off", low=0.0, high=10.0
    )
    consistent_fetch: bool = setting(
        False, "asynchrony", "all shards of one fetch answer from one version"
    )
    synchronous: bool = setting(
        False, "asynchrony", "updates wait for all replicas less the backups"
    )
    backups: int = setting(
        0,
        "asynchrony",
        "slowest replicas that synchronous updates do not wait for",
        low=0,
        high=1000,
    )

    # --- clock
    clock: Literal["free", "cost", "measured", "wall"] = setting(
        "free", "clock", "what time is: none, virtual by a model, virtual as measured, real"
    )
    machine: str = setting(
        "paper",
        "clock",
        "model of the machine for clock=cost: a preset, or a file made by `workbench calibrate`",
    )

    # --- measuring
    evaluate_every: float = setting(
        0.5,
        "measuring",
        "epochs between measurements on the held-out set",
        "epochs",
        low=0.001,
        high=1000.0,
    )
    evaluate_utterances: int = setting(
        0,
        "measuring",
        "held-out utterances decoded each time; 0: all",
        "utterances",
        low=0,
        high=1_000_000,
    )
    checkpoint_every: float = setting(
        0.5, "measuring", "epochs between checkpoints", "epochs", low=0.001, high=1000.0
    )
    seed: int = setting(0, "measuring", "seed of every random stream", low=0, high=2**31 - 1)
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "measuring", "precision of the products in the network"
    )

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, parse(f, getattr(self, f.name)))
        if self.shuffling == "full" and self.criterion != "ce":
            raise UserError(
                f"shuffling=full needs targets known beforehand, so criterion=ce, not {self.criterion}"
            )
        if self.push == "factors" and (self.push_every > 1 or self.clock in ("cost", "measured")):
            raise UserError(
                "push=factors: sums of several batches (push_every) have no small factors, and virtual clocks no price "
                "for the server's products"
            )
        if self.prefetch and (self.synchronous or self.consistent_fetch):
            raise UserError(
                "prefetch: synchronous training and consistent_fetch fetch when all shards agree, not before"
            )
        if self.lattice_engine == "exact" and self.criterion in ("bmmi", "mpe", "smbr"):
            raise UserError(
                f"criterion={self.criterion} counts errors on lattices, which lattice_engine=exact has none of"
            )

    @property
    def sequence(self) -> bool:
        """Whether the criterion is one of whole sequences, i.e. needs decoders."""
        return self.criterion != "ce"

    @property
    def factored(self) -> bool:
        """Whether pushes carry factors: where chosen, or where the server adds them to the parameters in one pass.

        The bits are the same.
        """
        one_pass = self.optimizer == "sgd" and not (
            self.delay_compensation or self.synchronous or self.max_norm
        )
        small = self.push_every == 1 and self.batch <= FACTORED
        return self.push == "factors" or (
            self.push == "auto" and small and one_pass and self.clock in ("free", "wall")
        )

    def replace(self, **changes: Any) -> "Settings":
        """A copy with some fields changed; unknown names raise UserError."""
        unknown = sorted(set(changes) - {f.name for f in dataclasses.fields(self)})
        if unknown:
            raise UserError(f"no such setting: {', '.join(unknown)}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def digest(self) -> str:
        """Ten hexadecimal digits that name these settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:10]


def parse(f: dataclasses.Field, value: Any) -> Any:
    """``value``, possibly text, as field ``f`` wants it; outside its range or choices raises UserError."""
    kind: Any = f.type
    meta = f.metadata
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UserError(f"{f.name}={value!r}: choose one of {', '.join(get_args(kind))}")
        return value
    if kind is bool and isinstance(value, str):
        if value.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise UserError(f"{f.name}={value!r}: true or false")
        return value.lower() in ("true", "1", "yes")
    try:
        out = kind(value)
    except (TypeError, ValueError):
        raise UserError(f"{f.name}={value!r}: not a {kind.__name__}") from None
    if kind is int and float(value) != out:
        raise UserError(f"{f.name}={value!r}: a whole number")
    for bound, wrong in (
        (meta.get("low"), lambda b: not out >= b),
        (meta.get("high"), lambda b: not out <= b),
    ):
        if bound is not None and wrong(bound):
            raise UserError(
                f"{f.name}={value}: between {meta['low']} and {meta['high']} {meta['unit']}".rstrip()
            )
    return out


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
