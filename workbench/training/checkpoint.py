"""A resting run as bytes, and back: what a checkpoint holds.

Nothing is pickled. Arrays go into a safetensors file, one that several owners share only once;
everything else is JSON. Dataclasses are written with their names and read only if they are in
``TYPES`` or given. Digests are the store's.

The state of a whole asynchronous run is small and exact because the run is brought to rest first:
every component returns a record at a point where it is easy to go on from, and *the run that is not
stopped goes on from these records too*. So a checkpoint is part of the schedule, and a resumed run
equals the uninterrupted one by construction, bit for bit on a virtual clock. (Generators cannot be
saved, and recomputing them by replay would cost the whole run again.) The price is that components
wait for the slowest one, at most for one utterance or batch per checkpoint.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from workbench.batches import FrameBatch, Loaded, OuterBatch
from workbench.engine.effects import Held
from workbench.sequence.decoded import Decoded
from workbench.settings import UserError
from workbench.training.decoder import DecoderState
from workbench.training.evaluator import EvaluatorState
from workbench.training.messages import DecodedUtterance, FetchedParameters, Gradient, Snapshot
from workbench.training.replica import ReplicaState
from workbench.training.schedule import Schedule
from workbench.training.server import ParameterServer
from workbench.training.server_state import Deposit, ServerState
from workbench.training.sources import SourceState

JSON, ARRAYS = "state.json", "arrays.safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run at rest, from whose parts it is resumed as if it had not been stopped."""

    number: int = 0  # checkpoints that were due so far
    states: dict[str, Any] = field(default_factory=dict)  # by process: what it returned
    channels: dict[str, Held] = field(default_factory=dict)
    ticks: int = 0  # virtual microseconds
    servers: dict[str, ServerState] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)  # of the files of rows

    @classmethod
    def of(
        cls,
        number: int,
        states: dict[str, Any],
        channels: dict[str, Held],
        ticks: int,
        services: dict[str, Any],
        positions: dict[str, int],
    ) -> "Checkpoint":
        """From what the executor's outcome, the services and the store say."""
        servers = {
            name: s.state() for name, s in services.items() if isinstance(s, ParameterServer)
        }
        return cls(number, states, channels, ticks, servers, positions)

    def restore(self, services: dict[str, Any]) -> None:
        """Replace the parameter servers in ``services`` by those that were saved."""
        for name, state in self.servers.items():
            services[name] = ParameterServer(state, services[name].settings)


TYPES = (
    Checkpoint,
    Decoded,
    DecoderState,
    Deposit,
    EvaluatorState,
    FrameBatch,
    Gradient,
    Held,
    Loaded,
    DecodedUtterance,
    OuterBatch,
    FetchedParameters,
    ReplicaState,
    Schedule,
    ServerState,
    Snapshot,
    SourceState,
)


def pack(value: Any) -> dict[str, bytes]:
    """``value``, made of dataclasses, arrays, sequences, dicts by name and scalars, as files; TypeError for others."""
    arrays: dict[int, tuple[str, np.ndarray]] = {}
    text = json.dumps(written(value, arrays))
    return {
        JSON: text.encode(),
        ARRAYS: save({name: np.ascontiguousarray(x) for name, x in arrays.values()}),
    }


def unpack(files: dict[str, bytes], *types: type) -> Any:
    """What ``pack`` was given, sequences as tuples; UserError for a type that is neither in TYPES nor in ``types``."""
    known = {t.__name__: t for t in (*TYPES, *types)}
    arrays = load(files[ARRAYS])
    return read(json.loads(files[JSON]), arrays, known)


def written(x: Any, arrays: dict[int, tuple[str, np.ndarray]]) -> Any:
    """``x`` as JSON; its arrays are added to ``arrays`` by identity, with a name."""
    if isinstance(x, np.ndarray):
        name, _ = arrays.setdefault(id(x), (str(len(arrays)), x))
        return {"array": name}
    if dataclasses.is_dataclass(x):
        values = {f.name: written(getattr(x, f.name), arrays) for f in dataclasses.fields(x)}
        return {"type": type(x).__name__, "fields": values}
    if isinstance(x, tuple | list):
        return [written(y, arrays) for y in x]
    if isinstance(x, dict):
        return {"dict": {name: written(y, arrays) for name, y in x.items()}}
    if isinstance(x, np.generic):
        return x.item()
    if x is None or isinstance(x, bool | int | float | str):
        return x
    raise TypeError(f"not to be saved: {type(x).__name__}")


def read(x: Any, arrays: dict[str, np.ndarray], known: dict[str, type]) -> Any:
    """What ``written`` was given."""
    if isinstance(x, list):
        return tuple(read(y, arrays, known) for y in x)
    if not isinstance(x, dict):
        return x
    if "array" in x:
        return arrays[x["array"]]
    if "dict" in x:
        return {name: read(y, arrays, known) for name, y in x["dict"].items()}
    if x.get("type") not in known:
        raise UserError(f"checkpoint: unknown type {x.get('type')!r}")
    return known[x["type"]](**{name: read(y, arrays, known) for name, y in x["fields"].items()})
