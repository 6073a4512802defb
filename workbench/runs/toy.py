"""The machine of the paper with a toy in place of speech.

It shows how stale gradients are, and when that begins to hurt.

Everything asynchronous is real (server, replicas, decoders, clock); only the arithmetic is not.
Parameters are to reach a target. The outer gradient of an "utterance" points from where the decoder
was to the target, plus noise of the utterance; the replica, as in the paper, follows it from
wherever the parameters are by then. A thousand updates take a second.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.batches import OuterBatch, UtteranceOrder, subsets
from workbench.engine import Cost, Local, load_machine
from workbench.engine.effects import Lost, Process
from workbench.engine.machines import Machine
from workbench.metrics.staleness import ExpectedAge, expected_outer_age, kept_frames
from workbench.sequence.decoded import Decoded
from workbench.settings import Settings, UserError, rng, setting
from workbench.settings.frame import FRAME_SECONDS
from workbench.storage.rows import Measurement, Row
from workbench.system.vectors import Vector, as_array
from workbench.training import (
    Gradient,
    OuterSource,
    ParameterServer,
    Shards,
    decoder,
    evaluator,
    replica,
)

if TYPE_CHECKING:
    from distributed import Client

SIZE = 16  # parameters of the toy
TARGET = np.ones(SIZE, np.float32)
FRAMES = 240  # of an utterance: 2.4 s of a voice query
KEPT = 36  # frames that survive cancellation in the mean, 15 %
FEWEST = 8  # frames that are kept of an utterance
NOISE = 0.3
PARAMETERS = 5_600_000  # of the paper's network, which decide how long messages take
BYTE_AT_GIGABIT = 8e-9  # seconds


@dataclass(frozen=True)
class Exploration:
    """What is simulated; the metadata of each field has its unit and range."""

    replicas: int = setting(10, "model replicas", low=1, high=100)
    batch: int = setting(32, "frames in a batch", low=1, high=256)
    utterances: int = setting(2000, "utterances decoded in all", low=50, high=5000)
    spread: float = setting(
        0.2,
        "how unequal the processes' speeds are (sigma of their logarithm)",
        low=0.0,
        high=1.0,
    )
    decoding: float = setting(
        1.45, "decoding time, as a multiple of the audio's", low=0.05, high=10.0
    )
    network: float = setting(1.0, "bandwidth of each link", "Gbit/s", low=0.01, high=100.0)
    shards: int = setting(
        8, "shards of the parameter server, each with a link of its own", low=1, high=16
    )
    decoder_seconds: float = setting(
        0.0,
        "decoders fetch together every so many seconds; 0: each utterance",
        "s",
        low=0.0,
        high=3600.0,
    )
    learning_rate: float = setting(0.002, "step size", low=0.0001, high=1.0)
    seed: int = setting(0, "seed of speeds and noise", low=0, high=1000)

    @property
    def machine(self) -> Machine:
        """The paper's machine with these speeds."""
        paper = load_machine("paper")
        decode = replace(paper.prices["decode"], frame=FRAME_SECONDS * self.decoding)
        byte = BYTE_AT_GIGABIT / self.network * PARAMETERS / SIZE
        prices = {**paper.prices, "decode": decode}
        return replace(paper, name="explored", prices=prices, spread=self.spread, byte=byte)

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return Settings.of(
            criterion="mmi",
            replicas=self.replicas,
            batch=self.batch,
            shards=self.shards,
            decoder_fetch="synchronous" if self.decoder_seconds else "utterance",
            decoder_seconds=self.decoder_seconds,
            learning_rate=self.learning_rate,
            seed=self.seed,
            epochs=1.0,
            clock="cost",
            evaluate_every=0.05,
            decays=0,
            patience=100,
        )


def expected_age(exploration: Exploration) -> ExpectedAge:
    """Return how old outer gradients will be, in closed form, if each utterance is a new fetch.

    An exploration that ends soon has younger ones: its slots have hardly filled.
    """
    kept = kept_frames(np.arange(FEWEST, 2 * KEPT - FEWEST + 1))
    assert kept is not None  # every utterance keeps frames
    channel = exploration.settings.asynchrony.channel
    return expected_outer_age(kept, exploration.replicas, exploration.batch, channel)


def explore(exploration: Exploration) -> pd.DataFrame:
    """Run the toy on the cost clock.

    Return rows like those of a run, ``mmi`` being minus the distance to the target.
    """
    rows: list[Row] = []
    clock = Cost(exploration.machine, exploration.seed)
    executor = Local(clock, exploration.settings.asynchrony.channel)
    executor.run(makers(exploration), services(exploration), rows.append)
    return table_of(rows)


def explore_on(client: "Client", exploration: Exploration, paced: bool = False) -> pd.DataFrame:
    """Run the toy on a Dask cluster and the wall clock; otherwise as `explore`.

    The arithmetic takes next to no time; if ``paced`` it takes the time of the exploration's
    machine, which makes a cluster of this machine in real time. Messages are as fast as they are.

    ``client``: Dask's. Raises UserError if workers are lost; there is no checkpoint to go back to.
    """
    from workbench.engine.dask import Cluster

    rows: list[Row] = []
    executor = Cluster(client, exploration.settings.asynchrony.channel)
    if paced:
        executor = executor.paced(Cost(exploration.machine, exploration.seed))
    try:
        executor.run(makers(exploration), services(exploration), rows.append)
    except Lost as loss:
        raise UserError(
            f"the cluster lost workers ({loss}), and the toy has no checkpoint: close what else "
            "keeps this computer busy, make the cluster again, and run this cell once more"
        ) from loss
    return table_of(rows)


def table_of(rows: list[Row]) -> pd.DataFrame:
    """Return the rows as a table in order of time."""
    table = pd.DataFrame([row.to_dict() for row in rows])
    return table.sort_values("seconds", kind="stable", ignore_index=True)


def services(exploration: Exploration) -> dict[str, ParameterServer]:
    """Return the shards of the parameter server by name."""
    return _shards(exploration).servers(exploration.settings)


def makers(exploration: Exploration) -> dict[str, Callable[[], Process]]:
    """Return what makes each process, by name.

    These are functions of plain data, which can travel to another machine.
    """
    makers: dict[str, Callable[[], Process]] = {}
    for i in range(exploration.replicas):
        makers[f"decoder {i}"] = partial(_decoder, exploration, i)
        makers[f"replica {i}"] = partial(_replica, exploration, i)
    makers["evaluator"] = partial(_evaluator, exploration)
    return makers


def _shards(exploration: Exploration) -> Shards:
    start = np.zeros(SIZE, np.float32)
    return Shards.split(start, slice(None), min(exploration.shards, SIZE))


def _decoder(exploration: Exploration, i: int) -> Process:
    utterances = subsets(exploration.utterances, exploration.replicas, exploration.seed)[i]
    return decoder(
        f"decoder {i}",
        _shards(exploration),
        exploration.settings,
        UtteranceOrder(utterances, 1.0, exploration.seed),
        partial(decode, exploration.seed),
        np.full(exploration.utterances, FRAMES),
        f"decoded {i}",
    )


def _replica(exploration: Exploration, i: int) -> Process:
    source = OuterSource(f"decoded {i}", exploration.settings, None)
    return replica(f"replica {i}", i, _shards(exploration), exploration.settings, source, gradient)


def _evaluator(exploration: Exploration) -> Process:
    frames = exploration.utterances * FRAMES
    return evaluator(_shards(exploration), exploration.settings, evaluate, frames, FRAMES)


def decode(seed: int, theta: Vector, utterance: int) -> Decoded:
    """Return for each kept frame the way from ``theta`` to the target, plus noise.

    Utterances keep unequal numbers of frames, because otherwise all slots of a replica would run
    empty at once.
    """
    stream = rng(seed, "toy", utterance)
    noise = NOISE * stream.standard_normal(SIZE).astype(np.float32)
    count = int(stream.integers(FEWEST, 2 * KEPT - FEWEST + 1))
    return Decoded(
        utterance=utterance,
        frames=FRAMES,
        kept=np.arange(count, dtype=np.int32) * (FRAMES // count),
        indptr=np.arange(count + 1) * SIZE,
        states=np.tile(np.arange(SIZE, dtype=np.int32), count),
        values=np.tile(TARGET - as_array(theta) + noise, count),
        mass=0.0,
        value=-distance(theta),
        reason=None,
        rejected=0,
        cancelled=FRAMES - count,
        words=(),
        reference=(),
        numerator_states=np.zeros(FRAMES, np.int32),
        num=0.0,
        den=0.0,
        beam=0.0,
    )


def gradient(theta: Vector, batch: OuterBatch) -> Gradient:
    """Return the sum of the outer gradients, wherever the parameters are by now."""
    total = np.bincount(batch.states, batch.values, SIZE).astype(np.float32)
    return Gradient(total, len(batch), {})


def evaluate(theta: Vector) -> Measurement:
    """Return minus the distance to the target as if it were a criterion."""
    return Measurement(criterion=-distance(theta), mmi=-distance(theta))


def distance(theta: Vector) -> float:
    """Return the root mean square of the parameters' distances to the target."""
    return float(np.sqrt(np.mean((as_array(theta) - TARGET) ** 2, dtype=np.float64)))
