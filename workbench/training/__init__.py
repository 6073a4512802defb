"""Parameter server, replicas, decoders, evaluators: generators of effects that know no clock, network or torch."""

from workbench.training.decoder import DecoderState, decoder
from workbench.training.evaluator import EvaluatorState, evaluator
from workbench.training.messages import Ack, Gradient, Item, Outer, Parameters, Push, Snapshot, Status
from workbench.training.replica import ReplicaState, replica
from workbench.training.schedule import Schedule
from workbench.training.server import Diverged, ParameterServer, ServerState
from workbench.training.shards import Shards
from workbench.training.sources import FrameSource, OuterSource, SourceState
from workbench.training.state import Checkpoint, pack, unpack

__all__ = [
    "Ack", "Checkpoint", "DecoderState", "Diverged", "EvaluatorState", "FrameSource", "Gradient", "Item", "Outer",
    "OuterSource", "ParameterServer", "Parameters", "Push", "ReplicaState", "Schedule", "ServerState", "Shards",
    "Snapshot", "SourceState", "Status", "decoder", "evaluator", "pack", "replica", "unpack",
]  # fmt: skip
