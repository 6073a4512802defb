"""Faults of networks, machines and disks, played to the components of a run in virtual time.

A fault is what a process does in place of yielding an effect: it may wait, send something twice, or
raise `Lost`, as the executor of a cluster does when a reply does not come, or a worker dies or
hangs.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from workbench.engine import All, Ask, Lost, Now, Process, Work
from workbench.engine.clocks import TICKS, Journey, Seconds
from workbench.training import Push, PushStatus, Snapshot

REPLY_TIMEOUT = 60.0  # virtual seconds, as `workbench.engine.dask.process` has it
HUNG = 5.0  # after which a worker that hangs is given up
SLOW = 0.5  # a message that takes longer counts as delayed
CLOCK_STEP = 3600.0
REPEATED = (PushStatus.DUPLICATE, PushStatus.STALE, PushStatus.ENDED)  # answers to a second push


class Weather:
    """A clock on which messages and work take random times, now and then very long."""

    def __init__(self, draw: random.Random, fired: Counter):
        self.draw = draw
        self.fired = fired

    def work(self, process: str, work: Work, elapsed: Seconds, now: int) -> Seconds:
        """Return what the work says, or a random time."""
        if work.kind == "wait":
            return work.size / 1000
        return self.draw.expovariate(100)

    def travel(self, process: str, service: str, size: int, now: int) -> Journey:
        """Return a journey of random length; so messages overtake one another."""
        seconds = self.draw.expovariate(1000)
        if self.draw.random() < 0.02:
            seconds += self.draw.expovariate(0.2)
        self.fired["delay"] += seconds > SLOW
        return Journey(latency=round(seconds * TICKS))

    def serve(self, ask: Ask, elapsed: Seconds) -> Seconds:
        """Return next to nothing."""
        return 1e-5


@dataclass(frozen=True)
class Published:
    """Parameters that somebody has fetched."""

    service: str
    version: int
    value: np.ndarray
    before: bytes  # the value as it was then


@dataclass
class World:
    """What happens to one run besides its work."""

    draw: random.Random
    fired: Counter
    left: int  # faults
    life: int = 0  # effects until the next one
    kind: str = ""  # of the next one
    cut: dict[str, int] = field(default_factory=dict)  # calls that a process will send late
    step: dict[str, float] = field(default_factory=dict)  # seconds by which its clock is off
    stops: bool = False  # the run was asked to rest
    full: bool = False  # the disk
    damaged: bool = False  # the newest checkpoint
    seen: list["Published"] = field(default_factory=list)
    sent: list[tuple[str, Push]] = field(default_factory=list)  # pushes, and to which server
    answered: list[tuple[str, Push]] = field(default_factory=list)  # those with a reply
    found: list[str] = field(default_factory=list)  # violations

    def plan(self) -> None:
        """Draw the next fault."""
        self.kind = self.draw.choice(sorted(FAULTS)) if self.left else ""
        self.life = self.draw.randint(1, 80) if self.left else 0

    def strikes(self) -> Callable[..., Process] | None:
        """Return the fault that happens at this effect, if there is one."""
        self.life -= 1
        if self.life != 0:
            return None
        self.left -= 1
        fault = FAULTS[self.kind]
        self.plan()
        return fault


def wait(seconds: float) -> Work:
    """The effect of a process that does nothing for some virtual seconds."""
    return Work(int, (), int(seconds * 1000), "wait")


# --- faults: what a process does in place of yielding ``effect``; each returns the reply


def kill(name: str, effect: object, world: World) -> Process:
    """The worker of the process dies, and the run is lost."""
    world.fired["crash"] += 1
    raise Lost(f"{name} was killed")
    yield


def hang(name: str, effect: object, world: World) -> Process:
    """The process never goes on; the others do, until that is noticed."""
    world.fired["hang"] += 1
    yield wait(HUNG)
    raise Lost(f"{name} hung")


def pause(name: str, effect: object, world: World) -> Process:
    """The process stands still for a while."""
    world.fired["pause"] += 1
    yield wait(world.draw.uniform(0, HUNG))
    return (yield effect)


def drop_request(name: str, effect: object, world: World) -> Process:
    """A call does not arrive."""
    if not isinstance(effect, Ask | All):
        return (yield from postpone(name, effect, world, "drop request"))
    world.fired["drop request"] += 1
    yield wait(REPLY_TIMEOUT)
    raise Lost(f"{name} got no reply")


def drop_reply(name: str, effect: object, world: World) -> Process:
    """A call is carried out, and its reply does not arrive."""
    if not isinstance(effect, Ask | All):
        return (yield from postpone(name, effect, world, "drop reply"))
    world.fired["drop reply"] += 1
    yield effect
    yield wait(REPLY_TIMEOUT)
    raise Lost(f"{name} got no reply")


def duplicate(name: str, effect: object, world: World) -> Process:
    """A push arrives twice, the second time later; it must change nothing."""
    pushes = [ask for ask in asks_of(effect) if isinstance(ask.call, Push)]
    if not pushes:
        return (yield from postpone(name, effect, world, "duplicate"))

    world.fired["duplicate"] += 1
    reply = yield effect
    yield wait(world.draw.uniform(0, 2))
    for ask in pushes:
        again = yield ask
        if again.status not in REPEATED:
            world.found.append(f"{name}: a push that was sent twice was {again.status.value}")
    return reply


def zombie(name: str, effect: object, world: World) -> Process:
    """A push of any replica, answered long ago, arrives once more."""
    if not world.answered:
        return (yield from postpone(name, effect, world, "zombie"))
    world.fired["zombie"] += 1
    service, push = world.draw.choice(world.answered)
    again = yield Ask(service, push)
    if again.status not in REPEATED:
        world.found.append(f"{name}: an old push was {again.status.value}")
    return (yield effect)


def partition(name: str, effect: object, world: World) -> Process:
    """The machine of the process is cut off for a while: its next calls arrive late."""
    world.fired["partition"] += 1
    world.cut[name] = world.draw.randint(1, 4)
    return (yield effect)


def clock_step(name: str, effect: object, world: World) -> Process:
    """The clock of the machine is set."""
    world.fired["clock step"] += 1
    world.step[name] = world.draw.choice([-CLOCK_STEP, CLOCK_STEP])
    return (yield effect)


def stop(name: str, effect: object, world: World) -> Process:
    """The run is asked to rest, and resumed."""
    world.fired["stop"] += 1
    world.stops = True
    return (yield effect)


def disk_full(name: str, effect: object, world: World) -> Process:
    """The next checkpoint cannot be written; see `Schedule.save`."""
    world.full = True
    return (yield effect)


def damage(name: str, effect: object, world: World) -> Process:
    """The newest checkpoint is damaged, and then the worker is lost; see `Schedule.restore`."""
    world.damaged = True
    raise Lost(f"{name} was killed, and the disk is damaged")
    yield


FAULTS: dict[str, Callable[..., Process]] = {
    "crash": kill,
    "hang": hang,
    "pause": pause,
    "drop request": drop_request,
    "drop reply": drop_reply,
    "duplicate": duplicate,
    "zombie": zombie,
    "partition": partition,
    "clock step": clock_step,
    "stop": stop,
    "disk full": disk_full,
    "damage": damage,
}


def postpone(name: str, effect: object, world: World, kind: str) -> Process:
    """The fault cannot happen at this effect, so it happens at the next one that it can."""
    world.left += 1
    world.kind = kind
    world.life = 1
    return (yield effect)


def asks_of(effect: object) -> tuple[Ask, ...]:
    """The calls of an effect."""
    if isinstance(effect, Ask):
        return (effect,)
    return effect.asks if isinstance(effect, All) else ()


def injured(process: Process, name: str, world: World) -> Process:
    """The process with the faults of ``world``."""
    reply = None
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            return end.value

        asks = asks_of(effect)
        if asks and world.cut.get(name, 0):
            world.cut[name] -= 1
            yield wait(world.draw.uniform(0, REPLY_TIMEOUT / 2))
        world.sent += [(ask.service, ask.call) for ask in asks if isinstance(ask.call, Push)]
        fault = world.strikes()
        reply = (yield effect) if fault is None else (yield from fault(name, effect, world))
        note(asks, reply, world)
        if isinstance(effect, Now):
            reply += world.step.get(name, 0.0)


def note(asks: tuple[Ask, ...], reply: object, world: World) -> None:
    """Remember what was published, and which pushes were answered."""
    replies = reply if isinstance(reply, list) else [reply]
    for ask, answer in zip(asks, replies, strict=False):
        if isinstance(answer, Snapshot):
            before = answer.value.tobytes()
            world.seen.append(Published(ask.service, answer.version, answer.value, before))
        elif isinstance(ask.call, Push):
            world.answered.append((ask.service, ask.call))
