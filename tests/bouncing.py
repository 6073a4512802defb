"""Two processes and a service that need nothing but the engine, to be quick to start anywhere."""

from dataclasses import dataclass

import numpy as np

from workbench.engine import CLOSED, All, Ask, Call, Close, Emit, Process, Put, Service, Take
from workbench.storage.rows import Row
from workbench.system.unchanging import unchanging

SIZE = 100_000
ROUNDS = 5


@unchanging(kw_only=True, slots=False)
class ThrowRow(Row, kind="throw"):
    """What was thrown has come back."""

    round: int


@dataclass(frozen=True, slots=True, eq=False)
class Bounce(Call[tuple[np.ndarray, int]]):
    """An array that is thrown at a wall."""

    x: np.ndarray


class Wall(Service):
    """Returns twice what was thrown at it, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def answer(self, call: Bounce) -> tuple[np.ndarray, int]:
        self.count += 1
        return 2 * call.x, self.count


def thrower(services: tuple[str, ...], channel: str) -> Process:
    """Throws arrays at all services at once, and puts what came back on the channel."""
    for i in range(ROUNDS):
        x = np.full(SIZE, i, np.float32)
        replies = yield All(tuple(Ask(name, Bounce(x)) for name in services))
        for y, _ in replies:
            yield Put(channel, y)
        yield Emit(ThrowRow(round=i))
    yield Close(channel)
    return ROUNDS


def catcher(channel: str) -> Process:
    """Returns the sum of what arrives."""
    total = 0.0
    while True:
        y = yield Take(channel)
        if y is CLOSED:
            return total
        total += float(y.sum(dtype=np.float64))
