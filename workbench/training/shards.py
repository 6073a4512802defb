"""How the trained parameters are cut into shards, and joined again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from workbench import memory
from workbench.settings import Settings, UserError
from workbench.training.messages import Factored
from workbench.training.rounding import wide
from workbench.training.server import ParameterServer

NUMBER = 4  # bytes of a float32


@dataclass(frozen=True, eq=False)
class Shards:
    """Shard ``i`` holds ``base[trained][bounds[i]:bounds[i + 1]]``; what is not trained stays as in ``base``."""

    base: np.ndarray  # float32 [parameters]
    trained: slice
    bounds: tuple[int, ...]
    last: list = field(
        default_factory=lambda: [((), None)], repr=False
    )  # what was joined last: a cache, no state

    @classmethod
    def split(
        cls,
        base: np.ndarray,
        trained: slice = slice(None),
        count: int = 1,
        places: np.ndarray | None = None,
    ) -> "Shards":
        """Cut the ``trained`` slice into ``count`` nearly equal parts; UserError if it is shorter than that.

        ``places``: where in it may be cut, its ends among them, e.g. between the rows of weights; None: anywhere.
        """
        start, stop, _ = trained.indices(len(base))
        places = np.arange(stop - start + 1) if places is None else places
        last = len(places) - 1
        if count > last:
            raise UserError(
                f"shards={count}: only {last} parameters, or rows of weights, to share among them"
            )
        cuts = [0]
        for i in range(1, count + 1):
            near = int(np.searchsorted(places, (stop - start) * i // count))
            cuts.append(min(max(near, cuts[-1] + 1), last - count + i))
        bounds = tuple(int(places[cut]) for cut in cuts)
        return cls(np.array(base, np.float32), slice(start, stop), bounds)

    def __reduce__(self) -> tuple:
        """Where all parameters are trained, ``base`` is never joined, so it need not travel to every process."""
        whole = self.bounds[-1] == len(self.base)
        return (
            (bare, (len(self.base), self.bounds))
            if whole
            else (Shards, (self.base, self.trained, self.bounds))
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the services."""
        return tuple(f"server {i}" for i in range(len(self.bounds) - 1))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each shard."""
        return tuple(NUMBER * (b - a) for a, b in zip(self.bounds, self.bounds[1:], strict=False))

    def servers(self, settings: Settings) -> dict[str, ParameterServer]:
        """New services by name, all of them the parameter server."""
        parts = self.cut(self.base[self.trained])
        return {
            name: ParameterServer(part, settings)
            for name, part in zip(self.names, parts, strict=True)
        }

    def cut(self, vector: np.ndarray) -> list[np.ndarray]:
        """A vector over the trained parameters as views, one per shard."""
        return [vector[a:b] for a, b in zip(self.bounds, self.bounds[1:], strict=False)]

    def parts(self, gradient: np.ndarray | Factored | None) -> list:
        """A gradient over the trained parameters, one part per shard."""
        if gradient is None:
            return [None] * len(self.names)
        return (
            self.cut(gradient) if isinstance(gradient, np.ndarray) else [*gradient.cut(self.bounds)]
        )

    def join(self, values: list[np.ndarray]) -> np.ndarray:
        """All parameters, from what each shard holds; copied only where several shards, or not all, are to be joined,
        or numbers to be widened.

        Two components that fetch the same snapshots one after the other share the copy.
        """
        if len(values) == 1 and len(values[0]) == len(self.base) and values[0].dtype == np.float32:
            return values[0]
        before, theta = self.last[0]
        if len(before) == len(values) and all(a is b for a, b in zip(before, values, strict=True)):
            return theta
        theta = memory.floats(len(self.base))
        start, stop = self.trained.start, self.trained.stop
        theta[:start], theta[stop:] = self.base[:start], self.base[stop:]
        for value, part in zip(values, self.cut(theta[start:stop]), strict=True):
            wide(value, part)
        theta.flags.writeable = False
        self.last[0] = (values, theta)
        return theta

    def collect(self, services: Mapping[str, ParameterServer]) -> np.ndarray:
        """What the servers hold, for a look from outside, e.g. when a run has ended."""
        return self.join([services[name].value for name in self.names])


def bare(size: int, bounds: tuple[int, ...]) -> Shards:
    """Shards of ``size`` trained parameters, to fetch and push with, but not to make servers: ``base`` is zero."""
    return Shards(np.broadcast_to(np.float32(0), size), slice(0, size), bounds)
