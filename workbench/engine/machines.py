"""Models of machines for the cost clock: what work, messages and calls of the parameter server take, and how unequal
processes are.

A machine is JSON: ``workbench calibrate`` measures one on the computer at hand; the presets below are two more.
"""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from workbench.settings import UserError

Seconds = float


@dataclass(frozen=True)
class Price:
    """Seconds that one kind of work takes: ``call + frames * (frame + frame_parameter * parameters)``."""

    call: Seconds = 0.0  # whatever the size: what small batches waste
    frame: Seconds = 0.0
    frame_parameter: Seconds = 0.0  # the arithmetic, per parameter of the network


@dataclass(frozen=True)
class Machine:
    """What the processes of one cluster cost."""

    name: str
    about: str
    prices: dict[str, Price] = field(
        default_factory=dict
    )  # by kind of work: gradient, forward, decode, evaluate
    latency: Seconds = 0.0  # of one message
    byte: Seconds = 0.0  # of one byte of a message, the reciprocal of the bandwidth
    network_jitter: float = 0.0  # sigma of the logarithm of each message's duration
    serve_call: Seconds = 0.0  # a shard is busy this long per call,
    serve_byte: Seconds = 0.0  # and this long per byte that comes or goes
    speed: str = "equal"  # how the speeds of processes are distributed: equal | uniform | lognormal
    spread: float = 0.0  # half width of uniform, sigma of the logarithm of lognormal
    jitter: float = 0.0  # sigma of the logarithm of each single work's duration
    straggler_share: float = 0.0  # of the processes,
    straggler_factor: float = 1.0  # which are slower by this factor for good
    pause_every: Seconds = 0.0  # mean time between pauses of one process; 0: none
    pause: Seconds = 0.0  # their length
    parameters: int = 0  # of the network, set by the experiment

    def __post_init__(self) -> None:
        if self.speed not in ("equal", "uniform", "lognormal"):
            raise UserError(
                f"machine {self.name}: speed={self.speed!r}: choose one of equal, uniform, lognormal"
            )
        if self.speed == "uniform" and not 0 <= self.spread < 1:
            raise UserError(
                f"machine {self.name}: spread={self.spread}: between 0 and 1 for uniform speeds"
            )
        if (
            self.straggler_factor <= 0
            or min(self.latency, self.byte, self.serve_call, self.serve_byte, self.pause) < 0
        ):
            raise UserError(
                f"machine {self.name}: times are not negative, and straggler_factor is above 0"
            )

    def seconds(self, kind: str, frames: int) -> Seconds:
        """What ``frames`` of one kind of work take a process of speed one; an unpriced kind raises UserError."""
        price = self.prices.get(kind)
        if price is None:
            raise UserError(f"machine {self.name} has no price for work of kind {kind!r}")
        return price.call + frames * (price.frame + price.frame_parameter * self.parameters)


# The paper tells no costs. These are chosen so that what it does tell comes out about right: with 50 replicas, outer
# gradients are a minute old (section 3), and an MMI step costs two to three CE steps (the paper: about two). Decoding
# takes 1.45 times real time; voice queries of 2.4 s of which 15 % of the frames are kept, and 32 slots, give 59 s and
# 970 updates in simulation (the paper: a few hundred). An Ethernet of 1 Gbit/s; machines shared with other jobs.
PAPER = Machine(
    "paper",
    "a data centre of 2013 as in Heigold et al.: outer gradients are about a minute old with 50 replicas",
    {
        "gradient": Price(call=0.05, frame=0.005),
        "forward": Price(call=0.02, frame=0.002),
        "decode": Price(frame=0.0145),
        "evaluate": Price(frame=0.001),  # held-out utterances are shared by some fifteen evaluators
    },
    latency=5e-4,
    byte=8e-9,
    network_jitter=0.3,
    serve_call=1e-4,
    serve_byte=2e-10,
    speed="lognormal",
    spread=0.2,
    jitter=0.1,
    straggler_share=0.02,
    straggler_factor=2.0,
    pause_every=3600.0,
    pause=30.0,
)
LAPTOP = Machine(
    "laptop",
    "every process on a laptop core of its own, memory in place of a network",
    {
        "gradient": Price(call=5e-4, frame_parameter=3e-10),
        "forward": Price(call=2e-4, frame_parameter=1e-10),
        "decode": Price(call=1e-3, frame=4e-4, frame_parameter=1e-10),
        "evaluate": Price(call=1e-3, frame=4e-4, frame_parameter=1e-10),
    },
    latency=5e-5,
    byte=2e-10,
    network_jitter=0.2,
    serve_call=2e-5,
    serve_byte=2e-10,
    speed="uniform",
    spread=0.1,
    jitter=0.05,
)
PRESETS = {m.name: m for m in (PAPER, LAPTOP)}


def machine(name: str, parameters: int = 0) -> Machine:
    """The preset ``name``, or the machine in the file ``name``, for a network of so many parameters."""
    return replace(PRESETS[name] if name in PRESETS else read(Path(name)), parameters=parameters)


def write(machine: Machine, path: Path) -> None:
    """Save as JSON."""
    path.write_text(json.dumps(asdict(machine), indent=1) + "\n")


def read(path: Path) -> Machine:
    """A machine saved by ``write``; UserError if there is none or a field is unknown."""
    try:
        given = json.loads(path.read_text())
        prices = {kind: Price(**price) for kind, price in given.pop("prices").items()}
    except FileNotFoundError:
        raise UserError(
            f"no machine {str(path)!r}: choose one of {', '.join(PRESETS)} or a file"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise UserError(f"{path}: not a machine: {problem}") from None
    unknown = sorted(set(given) - {f.name for f in fields(Machine)})
    if unknown:
        raise UserError(f"{path}: no such field of a machine: {', '.join(unknown)}")
    return Machine(prices=prices, **given)
