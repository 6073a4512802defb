"""Models of machines for the cost clock: prices, and how unequal processes are.

A machine is kept as JSON. ``workbench calibrate`` measures one on the computer at hand; two presets
are below.
"""

import math
from dataclasses import asdict, astuple, dataclass, field, replace
from pathlib import Path
from statistics import NormalDist

from workbench.settings import Alternatives, UserError
from workbench.storage.files import is_file, write_json
from workbench.storage.records import read_record

Seconds = float
NORMAL = NormalDist()


def equal(uniform: float, spread: float) -> float:
    """Every process has speed 1."""
    return 1.0


def uniform(uniform: float, spread: float) -> float:
    """Speeds lie evenly within ``spread`` of 1."""
    return 1.0 + spread * (2.0 * uniform - 1.0)


def lognormal(uniform: float, spread: float) -> float:
    """The logarithms of speeds are normal with standard deviation ``spread``."""
    return math.exp(spread * NORMAL.inv_cdf(uniform))


# The distributions of the processes' speeds. Each takes a number between 0 and 1, drawn once for a
# process, and the machine's spread, and returns the process' speed.
delay_laws = Alternatives("speed", equal=equal, uniform=uniform, lognormal=lognormal)

LONGEST = 1e6  # seconds that anything may take, 12 days
WIDEST = 3.0  # standard deviation of a logarithm: 20 times faster or slower is nothing rare then
LARGEST = {
    "latency": LONGEST,
    "byte": LONGEST,
    "serve_call": LONGEST,
    "serve_byte": LONGEST,
    "pause": LONGEST,
    "pause_every": 1e9,
    "network_jitter": WIDEST,
    "jitter": WIDEST,
    "spread": WIDEST,
    "straggler_share": 1.0,
    "straggler_factor": LONGEST,
}
"""The largest value of each field of a machine; none is negative."""


@dataclass(frozen=True)
class WorkPrice:
    """The price of one kind of work.

    It takes ``call + frames * (frame + frame_parameter * parameters)`` seconds.
    """

    call: Seconds = 0.0  # whatever the size: small batches waste it
    frame: Seconds = 0.0
    frame_parameter: Seconds = 0.0  # the arithmetic, per parameter of the network

    def __post_init__(self) -> None:
        for price in (self.call, self.frame, self.frame_parameter):
            if not 0 <= price <= LONGEST:
                raise UserError(f"a price of {price} seconds: between 0 and {LONGEST:g}")


@dataclass(frozen=True)
class Machine:
    """A model of a cluster and its processes; UserError for values that make no sense."""

    name: str
    about: str
    prices: dict[str, WorkPrice] = field(default_factory=dict)
    """By kind of work: gradient, forward, decode, evaluate."""
    latency: Seconds = 0.0  # of one message
    byte: Seconds = 0.0
    """Per byte of a message: the reciprocal of the bandwidth of a link, in and out. Each process
    and each shard has a link of its own, which all its messages take in turns (`links`). TCP would
    give messages that meet an equal part each, which is slower where links are all that counts.
    """
    network_jitter: float = 0.0  # sigma of the logarithm of each message's duration
    serve_call: Seconds = 0.0  # for which a shard is busy per call
    serve_byte: Seconds = 0.0  # for which it is busy per byte in either direction
    speed: str = "equal"  # distribution of the processes' speeds, one of `delay_laws`
    spread: float = 0.0  # half width of uniform, sigma of the logarithm of lognormal
    jitter: float = 0.0  # sigma of the logarithm of the duration of each piece of work
    straggler_share: float = 0.0  # share of processes that are slower
    straggler_factor: float = 1.0  # factor by which these are slower
    pause_every: Seconds = 0.0  # mean time between pauses of one process; 0: none
    pause: Seconds = 0.0  # length of a pause
    parameters: int = 0  # of the network, set by the experiment

    def __post_init__(self) -> None:
        delay_laws[self.speed]  # raises UserError for an unknown name
        if self.speed == "uniform" and not 0 <= self.spread < 1:
            raise UserError(
                f"machine {self.name}: spread={self.spread}: between 0 and 1 for uniform speeds"
            )

        for name, most in LARGEST.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise UserError(f"machine {self.name}: {name}={value}: between 0 and {most:g}")
        if self.straggler_factor <= 0:
            raise UserError(f"machine {self.name}: straggler_factor must be above 0")
        if 0 < self.pause_every < self.pause:
            raise UserError(
                f"machine {self.name}: pause_every={self.pause_every}: at least the pause itself"
            )

    def seconds(self, kind: str, frames: int) -> Seconds:
        """Return the time of work at speed 1; UserError if its kind has no price."""
        price = self.prices.get(kind)
        if price is None:
            raise UserError(f"machine {self.name} has no price for work of kind {kind!r}")
        return price.call + frames * (price.frame + price.frame_parameter * self.parameters)


# The paper gives no costs. These are chosen so that the figures it does give come out about right:
# with 50 replicas, outer gradients are a minute old (section 3), and an MMI step costs two to three
# CE steps (the paper: about two). Decoding takes 1.45 times real time; voice queries of 2.4 s of
# which 15 % of the frames are kept, and 32 slots, give 59 s and 970 updates in simulation where the
# server has shards enough (the paper: a few hundred). An Ethernet of 1 Gbit/s, which a shard shares
# among all replicas and decoders: fifty replicas of the paper's network need eight shards or more.
# Machines shared with other jobs.
PAPER = Machine(
    "paper",
    "a data centre of 2013 as in Heigold et al.: "
    "outer gradients are about a minute old with 50 replicas; "
    "each process and each shard has one link of 1 Gbit/s",
    {
        "gradient": WorkPrice(call=0.05, frame=0.005),
        "forward": WorkPrice(call=0.02, frame=0.002),
        "decode": WorkPrice(frame=0.0145),
        "evaluate": WorkPrice(frame=0.001),  # some fifteen evaluators share the held-out data
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
    "every process on a laptop core of its own, memory in place of a network: "
    "5 GB/s to each process and each shard",
    {
        "gradient": WorkPrice(call=5e-4, frame_parameter=3e-10),
        "forward": WorkPrice(call=2e-4, frame_parameter=1e-10),
        "decode": WorkPrice(call=1e-3, frame=4e-4, frame_parameter=1e-10),
        "evaluate": WorkPrice(call=1e-3, frame=4e-4, frame_parameter=1e-10),
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


def load_machine(name: str, parameters: int = 0) -> Machine:
    """Return the preset ``name``, or the machine in the file ``name``, for this many parameters."""
    machine = PRESETS[name] if name in PRESETS else read_machine(Path(name))
    return replace(machine, parameters=parameters)


def slower_machine(machine: Machine, factor: float) -> Machine:
    """Return a machine whose work takes ``factor`` times as long; messages take what they took."""
    prices = {
        kind: WorkPrice(*(factor * part for part in astuple(price)))
        for kind, price in machine.prices.items()
    }
    return replace(machine, name=f"{machine.name}, {factor:g} times slower", prices=prices)


def write_machine(machine: Machine, path: Path) -> None:
    """Save a machine as JSON."""
    write_json(path, asdict(machine))


def read_machine(path: Path) -> Machine:
    """Return a machine saved by ``write_machine``; UserError if there is none or it is damaged."""
    if not is_file(path):
        raise UserError(f"no machine {str(path)!r}: choose one of {', '.join(PRESETS)} or a file")
    return read_record(Machine, path)
