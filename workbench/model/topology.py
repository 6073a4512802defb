"""The shape of the network and where each of its weights lies in the one flat parameter vector.

Layers follow one another, each its weight [outputs, inputs] and then its bias [outputs]. The output
layer is last, so that ``trained="last"`` is one contiguous slice. This module needs numpy only:
cutting and joining parameters does not load torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from workbench.settings import UserError, rng

Trained = Literal["all", "last", "last-without-silence"]


@dataclass(frozen=True)
class Layout:
    """Where each named array lies in the flat vector: name -> (slice, shape), in the order of the
    vector.
    """

    entries: Mapping[str, tuple[slice, tuple[int, ...]]]
    size: int

    def views(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """Return the named arrays of ``theta`` [parameters], as views."""
        return {name: theta[where].reshape(shape) for name, (where, shape) in self.entries.items()}


@dataclass(frozen=True)
class Topology:
    """A feed-forward network: ``inputs`` -> hidden layers of rectified linear units -> softmax over
    ``states``.
    """

    inputs: int
    hidden: tuple[int, ...]
    states: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(int(h) for h in self.hidden))
        if min(self.inputs, self.states, *self.hidden, 1) < 1 or not self.hidden:
            raise UserError(f"a network needs an input, hidden layers and states, not {self}")

    def __str__(self) -> str:
        return "-".join(str(w) for w in self.widths)

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each layer, the input first and the output last."""
        return (self.inputs, *self.hidden, self.states)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the layers that have weights, the output last."""
        return (*(f"hidden{i + 1}" for i in range(len(self.hidden))), "output")

    @cached_property
    def size(self) -> int:
        """How many parameters the network has."""
        return self.layout().size

    def layout(self) -> Layout:
        """Return the named slices and shapes in the flat vector."""
        return _layout(self)

    def to_dict(self) -> dict[str, int | list[int]]:
        """Return what JSON keeps; ``Topology(**...)`` makes the topology of it again."""
        return {
            "inputs": self.inputs,
            "hidden": list(self.hidden),
            "states": self.states,
        }


@lru_cache(maxsize=64)
def _layout(topology: Topology) -> Layout:
    entries: dict[str, tuple[slice, tuple[int, ...]]] = {}
    start = 0
    for name, (inputs, outputs) in zip(topology.names, pairwise(topology.widths), strict=True):
        shapes: dict[str, tuple[int, ...]] = {"weight": (outputs, inputs), "bias": (outputs,)}
        for part, shape in shapes.items():
            stop = start + math.prod(shape)
            entries[f"{name}.{part}"] = (slice(start, stop), shape)
            start = stop
    return Layout(entries, start)


def trained_slice(topology: Topology, trained: Trained = "all") -> slice:
    """Return the slice of the flat vector that is trained; raises UserError for an unknown
    ``trained``.

    For last-without-silence the rows of silence lie in it too, with gradient zero.
    """
    if trained == "all":
        return slice(0, topology.size)
    if trained not in ("last", "last-without-silence"):
        raise UserError(f"trained={trained!r}: choose one of all, last, last-without-silence")
    return slice(topology.layout().entries["output.weight"][0].start, topology.size)


def row_ends(topology: Topology, trained: Trained = "all") -> np.ndarray:
    """Return where in the trained slice shards may be cut: at the end of a row of weights or of a
    number of a bias.

    int64, ascending from 0.
    """
    where = trained_slice(topology, trained)
    ends = []
    for part, shape in topology.layout().entries.values():
        if part.start >= where.start:
            step = shape[1] if len(shape) == 2 else 1
            ends.append(np.arange(part.start, part.stop + 1, step))

    return np.unique(np.concatenate(ends)) - where.start


def initial(topology: Topology, seed: int) -> np.ndarray:
    """Return parameters to begin with, float32 [parameters]: hidden weights N(0, 2 / inputs), all
    else zero.

    Source: He et al. 2015, *Delving deep into rectifiers*, equation 10. The output layer begins at
    zero, i.e. with uniform posteriors, so that the first updates of the hidden layers are not made
    through random weights.
    """
    theta = np.zeros(topology.size, np.float32)
    views = topology.layout().views(theta)
    for name in topology.names[:-1]:
        weight = views[f"{name}.weight"]
        draws = rng(seed, "model", name).standard_normal(weight.shape, np.float32)
        np.multiply(draws, np.float32(math.sqrt(2.0 / weight.shape[1])), out=weight)

    return theta


def transfer(
    theta: np.ndarray, topology: Topology, source: np.ndarray, source_topology: Topology
) -> np.ndarray:
    """Return ``theta`` with the hidden layers of ``source`` and its own output layer (transfer
    between languages).

    The two topologies may differ in states only; anything else raises UserError.
    """
    if (topology.inputs, topology.hidden) != (source_topology.inputs, source_topology.hidden):
        raise UserError(
            f"hidden layers of {source_topology} do not fit {topology}: inputs and hidden layers "
            f"must agree; give --set {_network_settings(source_topology)}"
        )

    hidden = trained_slice(topology, "last").start
    out = np.array(theta, copy=True)
    out[:hidden] = source[:hidden]
    return out


def _network_settings(topology: Topology) -> str:
    """Return the settings that make hidden layers like these."""
    hidden = topology.hidden
    return f"hidden_layers={len(hidden)} hidden_units={hidden[0]}"


def silence_rows(
    topology: Topology, trained: Trained, silence: Sequence[int] | np.ndarray
) -> np.ndarray | None:
    """Return the output rows whose gradient is set to zero, int64, or None if ``trained`` asks for
    none.
    """
    if trained != "last-without-silence":
        return None
    rows = np.unique(np.asarray(silence, np.int64).reshape(-1))
    if rows.size and (rows[0] < 0 or rows[-1] >= topology.states):
        raise UserError(
            f"silence states must lie within 0..{topology.states - 1}, not {rows.tolist()}"
        )

    return rows
