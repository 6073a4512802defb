"""All settings of a run, in groups, each with default, explanation, unit and range."""

from dataclasses import dataclass
from typing import Literal

from workbench.settings.description import Group, setting


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
    transition_scale: float = setting(
        1.0,
        "exponent of the transition probabilities, in numerator and denominator alike; the "
        "paper's formula has kappa here",
        low=0.0,
        high=2.0,
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
    one_silence_class: bool = setting(
        True,
        "MPE and sMBR: silence and noise are one class, so a frame of either is right where the "
        "reference is silent or noisy; false: a silent or noisy frame of a path is never right",
    )
    smoothing: float = setting(
        0.0,
        "weight of cross entropy added to the sequence criterion on every frame (H-criterion), so "
        "that no frame is left out; 0 in the paper",
        low=0.0,
        high=1.0,
    )
    denominator: Literal["lattice", "none-realigned", "none-fixed"] = setting(
        "lattice", "the lattice, or the controls without it: align often, or once (experiment E4a)"
    )
    auxiliary: Literal["frozen", "fresh", "proximal", "reweighted"] = setting(
        "frozen",
        "outer gradient kept as decoded (the paper), recomputed at the replica, with a proximal "
        "term, or with occupancies that follow the current parameters",
    )
    proximal: float = setting(
        1.0, "D, weight of the proximal term when auxiliary is proximal", low=0.0, high=100.0
    )


@dataclass(frozen=True)
class LatticeSettings(Group):
    """How lattices are made."""

    engine: Literal["auto", "native", "k2", "exact"] = setting(
        "auto",
        "which search makes lattices; exact: sums over all paths, for small graphs or on a GPU",
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
    slot_start: Literal["together", "apart"] = setting(
        "together",
        "where slots of on-the-fly shuffling start: at the first frames of their utterances, or "
        "apart, each at a random frame of its first utterance",
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
        10.0, "passes over the training data", unit="epochs", low=0.001, high=1000.0
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
    divergence_retries: int = setting(
        3,
        "how often a run that diverges goes back to a checkpoint with half the learning rate; "
        "0: it ends",
        low=0,
        high=20,
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
    shards: int = setting(
        1,
        "shards of the parameter server; with clock=cost each has a link of its own",
        low=1,
        high=256,
    )
    fetch_every: int = setting(
        1, "batches between a replica's fetches", unit="batches", low=1, high=100000
    )
    push_every: int = setting(
        1, "batches whose gradients are summed before a push", unit="batches", low=1, high=100000
    )
    push: Literal["auto", "gradient", "factors"] = setting(
        "auto",
        "what a push carries: the gradient, or its factors; auto: factors where that is faster",
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
        "when a decoder fetches: each utterance, every k, every T seconds, or all together "
        "every T seconds",
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
    drift_every: int = setting(
        0,
        "one utterance in so many, drawn at random, whose outer gradient a replica compares with a "
        "fresh one, and its parameters with the decoder's; on virtual clocks nothing else changes, "
        "on real ones it takes time; 0: none",
        unit="utterances",
        low=0,
        high=1000000,
    )
    checkpoint_every: float = setting(
        0.5, "epochs between checkpoints", unit="epochs", low=0.001, high=1000.0
    )
    seed: int = setting(0, "seed of every random stream", low=0, high=2**31 - 1)
