"""Parameter server, replicas, decoders, evaluator: generators that know no clock or network.

They can be wired by hand. With a Dask ``client`` and a ``run`` that is to be trained further with
MMI, two replicas, their decoders and a parameter server of two shards are a dozen statements::

    from functools import partial
    from workbench.batches import UtteranceOrder, subsets
    from workbench.engine.dask import Cluster
    from workbench.runs.train import trained_model
    from workbench.training import OuterSource, Shards, decoder, replica

    task, theta = trained_model(
        run, criterion="mmi", batch=16, learning_rate=0.002, epochs=1, replicas=2
    )
    s = task.settings
    shards = Shards.split(theta, count=2)
    server = shards.servers(s)
    makers = {}
    rows = []
    for i, part in enumerate(subsets(len(task.train), s.asynchrony.replicas, s.seed)):
        order = UtteranceOrder(part, s.batches.epochs, s.seed, i)
        makers[f"decoder {i}"] = partial(
            decoder, f"decoder {i}", shards, s, order, task.decode, task.lengths, f"decoded {i}"
        )
        makers[f"replica {i}"] = partial(
            replica, f"replica {i}", i, shards, s, OuterSource(f"decoded {i}", s), task.gradient
        )
    outcome = Cluster(client).run(makers, server, rows.append)
    theta = shards.collect(server)

``Local()`` in place of ``Cluster(client)`` runs the same in this thread. ``rows`` are the rows that
a run writes to its files.
"""

from workbench.training.checkpoint import (
    Checkpoint,
    ComponentState,
    component_states,
    pack,
    unpack,
    unpack_checkpoint,
)
from workbench.training.decoder import DecoderState, decoder
from workbench.training.evaluator import EvaluatorState, evaluator
from workbench.training.messages import (
    Ack,
    DecodedUtterance,
    FetchedParameters,
    Gradient,
    Item,
    Push,
    PushStatus,
    Snapshot,
)
from workbench.training.rejections import Diverged
from workbench.training.replica import ReplicaState, replica
from workbench.training.schedule import Schedule
from workbench.training.server import ParameterServer
from workbench.training.server_state import ServerState
from workbench.training.shards import Shards
from workbench.training.sources import FrameSource, OuterSource, SourceState

__all__ = [
    "Ack",
    "Checkpoint",
    "ComponentState",
    "DecodedUtterance",
    "DecoderState",
    "Diverged",
    "EvaluatorState",
    "FetchedParameters",
    "FrameSource",
    "Gradient",
    "Item",
    "OuterSource",
    "ParameterServer",
    "Push",
    "PushStatus",
    "ReplicaState",
    "Schedule",
    "ServerState",
    "Shards",
    "Snapshot",
    "SourceState",
    "component_states",
    "decoder",
    "evaluator",
    "pack",
    "replica",
    "unpack",
    "unpack_checkpoint",
]
