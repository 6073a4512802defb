"""How the trained parameters are cut into shards, and joined again."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from workbench.settings import Settings, UserError
from workbench.system import memory
from workbench.system.vectors import DeviceVector, Keep, Vector, as_array, keep_on_host
from workbench.training.messages import AnyGradient
from workbench.training.rounding import widen_into
from workbench.training.server import ParameterServer

NUMBER_BYTES = 4  # of a float32


class Joined(NamedTuple):
    """All parameters, and the parts from which they were joined."""

    parts: Sequence[Vector]
    theta: Vector


@dataclass
class JoinCache:
    """The parameters that were joined last; threads read and replace them as one object."""

    newest: Joined | None = None


@dataclass(frozen=True, eq=False)
class Shards:
    """The cut: shard ``i`` holds ``base[trained][bounds[i]:bounds[i + 1]]``.

    Parameters that are not trained stay as in ``base``. ``keep`` decides in which memory the
    parameters lie.
    """

    base: np.ndarray  # float32 [parameters]
    trained: slice
    bounds: tuple[int, ...]
    keep: Keep = keep_on_host
    cache: JoinCache = field(default_factory=JoinCache, repr=False)

    @classmethod
    def split(
        cls,
        base: np.ndarray,
        trained: slice = slice(None),
        count: int = 1,
        places: np.ndarray | None = None,
        keep: Keep = keep_on_host,
    ) -> "Shards":
        """Cut the ``trained`` slice into ``count`` nearly equal parts; UserError if it is short.

        ``places``: where in the slice it may be cut, its ends among them, for example between the
        rows of weights; None: anywhere.
        """
        start, stop, _ = trained.indices(len(base))
        if places is None:
            places = np.arange(stop - start + 1)
        last = len(places) - 1
        if count > last:
            raise UserError(
                f"shards={count}: only {last} parameters, or rows of weights, to share among them"
            )

        cuts = [0]
        for i in range(1, count + 1):
            nearest = int(np.searchsorted(places, (stop - start) * i // count))
            cuts.append(min(max(nearest, cuts[-1] + 1), last - count + i))
        bounds = tuple(int(places[cut]) for cut in cuts)
        return cls(np.array(base, np.float32), slice(start, stop), bounds, keep)

    def __reduce__(self) -> tuple[Callable[..., "Shards"], tuple[object, ...]]:
        """Travel without ``base`` where all parameters are trained and it is never joined."""
        if self.bounds[-1] == len(self.base):
            return shards_without_base, (len(self.base), self.bounds)
        return Shards, (self.base, self.trained, self.bounds)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the services."""
        return tuple(f"server {i}" for i in range(len(self.bounds) - 1))

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each shard."""
        return tuple(NUMBER_BYTES * (stop - start) for start, stop in pairwise(self.bounds))

    def servers(self, settings: Settings) -> dict[str, ParameterServer]:
        """Return new services by name, which together are the parameter server."""
        parts = self.cut(self.base[self.trained])
        return {
            name: ParameterServer(part, settings, self.keep)
            for name, part in zip(self.names, parts, strict=True)
        }

    def cut(self, vector: np.ndarray) -> list[np.ndarray]:
        """Return a vector over the trained parameters as views, one per shard."""
        return [vector[part] for part in self._slices]

    @cached_property
    def _slices(self) -> tuple[slice, ...]:
        return tuple(slice(start, stop) for start, stop in pairwise(self.bounds))

    def parts(self, gradient: AnyGradient | None) -> Sequence[AnyGradient | None]:
        """Return a gradient over the trained parameters as parts, one per shard."""
        if gradient is None:
            return [None] * len(self.names)
        if isinstance(gradient, np.ndarray):
            return self.cut(gradient)
        return gradient.cut(self.bounds)

    @cached_property
    def untrained(self) -> tuple[Vector, Vector]:
        """What lies before and after the trained parameters, in the memory of ``keep``."""
        before = self.keep(self.base[: self.trained.start])
        after = self.keep(self.base[self.trained.stop :])
        return before, after

    def join(self, values: Sequence[Vector]) -> Vector:
        """Return all parameters, float32, from the published parts of every shard.

        They are copied only where several shards, or not all parameters, are to be joined, or
        numbers are to be widened. Two components that fetch the same snapshots one after the other
        share the copy.
        """
        first = values[0]
        if len(values) == 1 and len(first) == len(self.base) and _is_float32(first):
            return first
        newest = self.cache.newest
        if newest is not None and _same_objects(newest.parts, values):
            return newest.theta

        theta = self._joined(first, values)
        self.cache.newest = Joined(values, theta)
        return theta

    def _joined(self, first: Vector, values: Sequence[Vector]) -> Vector:
        if isinstance(first, DeviceVector):
            before, after = self.untrained
            return first.joined([before, *values, after])
        return self._join_on_host([as_array(value) for value in values])

    def _join_on_host(self, values: Sequence[np.ndarray]) -> np.ndarray:
        theta = memory.floats(len(self.base))
        start = self.trained.start
        stop = self.trained.stop
        before = self.base[:start]
        after = self.base[stop:]
        if _is_float32(values[0]):
            np.concatenate([before, *values, after], out=theta)
        else:
            theta[:start] = before
            theta[stop:] = after
            for value, part in zip(values, self.cut(theta[start:stop]), strict=True):
                widen_into(value, part)

        theta.flags.writeable = False
        return theta

    def collect(self, services: Mapping[str, ParameterServer]) -> np.ndarray:
        """Return all parameters that the servers hold, for example when a run has ended."""
        return as_array(self.join([services[name].value for name in self.names]))


def shards_without_base(size: int, bounds: tuple[int, ...]) -> Shards:
    """Return shards of ``size`` trained parameters for clients; ``base`` takes no memory."""
    return Shards(np.broadcast_to(np.float32(0), size), slice(0, size), bounds)


def _is_float32(vector: Vector) -> bool:
    return isinstance(vector, DeviceVector) or vector.dtype == np.float32


def _same_objects(some: Sequence[Vector], others: Sequence[Vector]) -> bool:
    if len(some) != len(others):
        return False
    return all(map(operator.is_, some, others))
