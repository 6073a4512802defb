"""Two processes and a service that need nothing but the engine, to be quick to start anywhere."""

import numpy as np

from workbench.engine import All, Ask, Close, Emit, Process, Put, Take
from workbench.engine.effects import CLOSED

SIZE, ROUNDS = 100_000, 5


class Wall:
    """Gives back what it was thrown, and counts."""

    released = 0

    def __init__(self):
        self.count = 0

    def bounce(self, x: np.ndarray) -> tuple[np.ndarray, int]:
        self.count += 1
        return 2 * x, self.count


def thrower(services: tuple[str, ...], channel: str) -> Process:
    """Throws arrays at all services at once, and passes on what came back."""
    for i in range(ROUNDS):
        x = np.full(SIZE, i, np.float32)
        for y, _ in (yield All(tuple(Ask(name, "bounce", (x,)) for name in services))):
            yield Put(channel, y)
        yield Emit({"kind": "throw", "round": i})
    yield Close(channel)
    return ROUNDS


def catcher(channel: str) -> Process:
    """The sum of what arrives."""
    total = 0.0
    while (y := (yield Take(channel))) is not CLOSED:
        total += float(y.sum(dtype=np.float64))
    return total
