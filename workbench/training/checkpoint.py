"""A resting run as bytes, and back: what a checkpoint holds.

Nothing is pickled. Arrays go into a safetensors file, one that several owners share only once;
everything else is JSON, as `workbench.storage.codec` writes it. A dataclass is read only if it is
in `TYPES`.

The state of a whole asynchronous run is small and exact because the run is brought to rest first:
every component returns a record at a point where it is easy to go on from, and *the run that is not
stopped goes on from these records too*. So a checkpoint is part of the schedule, and a run resumed
from one equals the uninterrupted one, bit for bit on the free and the cost clock. (Generators
cannot be saved, and recomputing them by replay would cost the whole run again.) The price is that
components wait for the slowest one, at most for one utterance or batch per checkpoint.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from safetensors.numpy import load, save

from workbench.batches import FrameBatch, Loaded, OuterBatch
from workbench.engine.effects import Held, Service
from workbench.sequence.decoded import Decoded, Occupied
from workbench.settings import UserError
from workbench.storage.codec import ListedTypes, decode, encode
from workbench.training.decoder import DecoderState
from workbench.training.evaluator import EvaluatorState
from workbench.training.messages import (
    DecodedUtterance,
    DriftOrigin,
    FetchedParameters,
    Gradient,
    Snapshot,
)
from workbench.training.replica import ReplicaState
from workbench.training.schedule import Schedule
from workbench.training.server import ParameterServer
from workbench.training.server_state import Deposit, ServerState
from workbench.training.sources import SourceState

FORMAT = 2
STATE = "state.json"
ARRAYS = "arrays.safetensors"


ComponentState = DecoderState | EvaluatorState | ReplicaState


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run at rest, from whose parts it is resumed as if it had not been stopped."""

    number: int = 0  # checkpoints that were due so far
    states: dict[str, ComponentState] = field(default_factory=dict)  # by process: what it returned
    channels: dict[str, Held] = field(default_factory=dict)
    ticks: int = 0  # virtual microseconds
    servers: dict[str, ServerState] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)  # of the files of rows

    @classmethod
    def of(
        cls,
        number: int,
        states: Mapping[str, object],
        channels: dict[str, Held],
        ticks: int,
        services: Mapping[str, Service],
        positions: dict[str, int],
    ) -> "Checkpoint":
        """Return the checkpoint of a run that came to rest.

        ``states``, ``channels`` and ``ticks`` are those of the executor's outcome, ``positions``
        the lengths of the files of rows.
        """
        servers = {
            name: s.state() for name, s in services.items() if isinstance(s, ParameterServer)
        }
        return cls(number, component_states(states), channels, ticks, servers, positions)

    def restore(self, services: dict[str, ParameterServer]) -> None:
        """Replace the parameter servers in ``services`` by those that were saved."""
        for name, state in self.servers.items():
            before = services[name]
            services[name] = ParameterServer(state, before.settings, before.keep)


def component_states(returned: Mapping[str, object]) -> dict[str, ComponentState]:
    """Return what the processes of a run returned; TypeError if one returned something else."""
    states: dict[str, ComponentState] = {}
    for name, state in returned.items():
        if not isinstance(state, ComponentState):
            raise TypeError(f"{name} returned {type(state).__name__}, not the state of a component")
        states[name] = state
    return states


TYPES = (
    Checkpoint,
    Decoded,
    DecoderState,
    Deposit,
    DriftOrigin,
    EvaluatorState,
    FrameBatch,
    Gradient,
    Held,
    Loaded,
    Occupied,
    DecodedUtterance,
    OuterBatch,
    FetchedParameters,
    ReplicaState,
    Schedule,
    ServerState,
    Snapshot,
    SourceState,
)


FORMER_NAMES = {"Outer": DecodedUtterance, "Parameters": FetchedParameters}
NAMES = ListedTypes(TYPES, FORMER_NAMES)


def pack(value: object) -> dict[str, bytes]:
    """Return ``value`` as files; raises TypeError for what is not in `TYPES` or plain data."""
    encoded = encode(value, NAMES)
    state = {"format": FORMAT, "value": encoded.json}
    arrays = {
        str(number): np.ascontiguousarray(array) for number, array in enumerate(encoded.arrays)
    }
    return {STATE: json.dumps(state).encode(), ARRAYS: save(arrays)}


def unpack(files: Mapping[str, bytes]) -> object:
    """Return what was packed; raises UserError for a type that is not in `TYPES`."""
    state = json.loads(files[STATE])
    arrays = load(files[ARRAYS])
    in_order = [arrays[str(number)] for number in range(len(arrays))]
    if isinstance(state, dict) and state.get("format") == FORMAT:
        value = state["value"]
    else:
        value = _from_first_format(state)
    return decode(value, in_order, NAMES)


def unpack_checkpoint(files: Mapping[str, bytes]) -> Checkpoint:
    """Return the checkpoint in its files; raises UserError if they hold something else."""
    checkpoint = unpack(files)
    if not isinstance(checkpoint, Checkpoint):
        raise UserError(f"{STATE}: holds {type(checkpoint).__name__}, not a checkpoint")
    return checkpoint


def _from_first_format(value: object) -> object:
    """Return the JSON of a checkpoint of the first format in that of `workbench.storage.codec`.

    The first format had tuples as lists, dicts as objects, and names of arrays instead of numbers.
    """
    if isinstance(value, list):
        return {"tuple": [_from_first_format(item) for item in value]}
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return {"array": int(value["array"])}
    if "dict" in value:
        items = value["dict"].items()
        return {"dict": [[key, _from_first_format(item)] for key, item in items]}
    fields = {name: _from_first_format(item) for name, item in value["fields"].items()}
    return {"type": value["type"], "fields": fields}
