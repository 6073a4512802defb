"""The machine of the paper with a toy in place of speech: how stale do gradients get, and when does it begin to hurt?

Everything asynchronous is real (server, replicas, decoders, clock); only the arithmetic is not. Parameters are to reach
a target; the outer gradient of an "utterance" points from where the decoder was to the target, plus noise of the
utterance; the replica, as in the paper, follows it from wherever it is by then. A thousand updates take a second.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from workbench.batches import OuterBatch, UtteranceOrder, subsets
from workbench.engine import Cost, Local, load_machine
from workbench.engine.effects import Process
from workbench.engine.machines import Machine
from workbench.sequence.decoded import Decoded
from workbench.settings import Settings, rng, setting
from workbench.storage.rows import Measurement, Row
from workbench.training import Gradient, OuterSource, Shards, decoder, evaluator, replica

SIZE = 16
TARGET = np.ones(SIZE, np.float32)
FRAMES, KEPT = 240, 36  # 2.4 s of a voice query, of which 15 % survive cancellation in the mean
FEWEST = 8  # frames that are kept of an utterance
PARAMETERS = 5_600_000  # of the paper's network, for what its messages would take
NOISE = 0.3


@dataclass(frozen=True)
class Exploration:
    """What one look at the machine is made of; see the field's metadata for units and ranges."""

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
    network: float = setting(1.0, "bandwidth of the network", "Gbit/s", low=0.01, high=100.0)
    shards: int = setting(2, "shards of the parameter server", low=1, high=16)
    decoder_seconds: float = setting(
        0.0,
        "decoders fetch together every so many seconds; 0: each utterance",
        "s",
        low=0.0,
        high=3600.0,
    )
    learning_rate: float = setting(0.002, "step size", low=0.0, high=1.0)
    seed: int = setting(0, "seed of speeds and noise", low=0, high=1000)

    @property
    def machine(self) -> Machine:
        """The paper's machine with these speeds."""
        paper = load_machine("paper")
        prices = {
            **paper.prices,
            "decode": replace(paper.prices["decode"], frame=0.01 * self.decoding),
        }
        byte = 8e-9 / self.network * PARAMETERS / SIZE
        return replace(paper, name="explored", prices=prices, spread=self.spread, byte=byte)

    @property
    def settings(self) -> Settings:
        waits: dict[str, Any] = {
            "decoder_fetch": "synchronous" if self.decoder_seconds else "utterance"
        }
        return Settings.of(
            **waits,
            criterion="mmi",
            replicas=self.replicas,
            batch=self.batch,
            shards=self.shards,
            decoder_seconds=self.decoder_seconds,
            learning_rate=self.learning_rate,
            seed=self.seed,
            epochs=1.0,
            clock="cost",
            evaluate_every=0.05,
            decays=0,
            patience=100,
        )


def explore(what: Exploration) -> pd.DataFrame:
    """Run the toy on the cost clock; rows as a run has them, ``mmi`` being minus the distance to the target."""
    rows: list[Row] = []
    processes = {name: make() for name, make in makers(what).items()}
    Local(Cost(what.machine, what.seed), what.settings.asynchrony.channel).run(
        processes, services(what), rows.append
    )
    return table_of(rows)


def table_of(rows: list[Row]) -> pd.DataFrame:
    """The rows as a table in order of time."""
    table = pd.DataFrame([row.to_dict() for row in rows])
    return table.sort_values("seconds", kind="stable", ignore_index=True)


def explore_on(client: Any, what: Exploration) -> pd.DataFrame:
    """The same on a Dask cluster and the wall clock, where the arithmetic takes next to no time; ``client``: Dask's."""
    from workbench.engine.dask import Cluster

    rows: list[Row] = []
    Cluster(client, what.settings.asynchrony.channel).run(makers(what), services(what), rows.append)
    return table_of(rows)


def services(what: Exploration) -> dict[str, Any]:
    """The shards of the parameter server by name."""
    return _shards(what).servers(what.settings)


def makers(what: Exploration) -> dict[str, Callable[[], Process]]:
    """What makes each process, by name; functions of plain data, so that they can travel to another machine."""
    made: dict[str, Callable[[], Process]] = {}
    for i in range(what.replicas):
        made[f"decoder {i}"] = partial(_decoder, what, i)
        made[f"replica {i}"] = partial(_replica, what, i)
    return made | {"evaluator": partial(_evaluator, what)}


def _shards(what: Exploration) -> Shards:
    return Shards.split(np.zeros(SIZE, np.float32), slice(None), min(what.shards, SIZE))


def _decoder(what: Exploration, i: int) -> Process:
    order = UtteranceOrder(subsets(what.utterances, what.replicas, what.seed)[i], 1.0, what.seed)
    lengths, act = np.full(what.utterances, FRAMES), partial(decode, what.seed)
    return decoder(
        f"decoder {i}", _shards(what), what.settings, order, act, lengths, f"decoded {i}"
    )


def _replica(what: Exploration, i: int) -> Process:
    source = OuterSource(f"decoded {i}", what.settings, None)
    return replica(f"replica {i}", i, _shards(what), what.settings, source, gradient)


def _evaluator(what: Exploration) -> Process:
    return evaluator(_shards(what), what.settings, evaluate, what.utterances * FRAMES, FRAMES)


def decode(seed: int, theta: np.ndarray, utterance: int) -> Decoded:
    """The way from ``theta`` to the target, plus noise of the utterance, for each kept frame.

    Utterances keep unequal numbers of frames: else all slots of a replica would run empty at once.
    """
    stream = rng(seed, "toy", utterance)
    noise = NOISE * stream.standard_normal(SIZE).astype(np.float32)
    n = int(stream.integers(FEWEST, 2 * KEPT - FEWEST + 1))
    kept = np.arange(n, dtype=np.int32) * (FRAMES // n)
    row = TARGET - theta + noise
    values, states = np.tile(row, n), np.tile(np.arange(SIZE, dtype=np.int32), n)
    counts: dict[str, Any] = {
        "reason": None,
        "rejected": 0,
        "cancelled": FRAMES - n,
        "words": (),
        "reference": (),
    }
    return Decoded(
        utterance=utterance,
        frames=FRAMES,
        kept=kept,
        indptr=np.arange(n + 1) * SIZE,
        states=states,
        values=values,
        mass=0.0,
        value=-distance(theta),
        numerator_states=np.zeros(FRAMES, np.int32),
        num=0.0,
        den=0.0,
        beam=0.0,
        **counts,
    )


def gradient(theta: np.ndarray, batch: OuterBatch) -> Gradient:
    """The outer gradients added up, wherever the parameters are by now."""
    total = np.bincount(batch.states, batch.values, SIZE).astype(np.float32)
    return Gradient(total, len(batch), {})


def evaluate(theta: np.ndarray) -> Measurement:
    """Minus the distance to the target, under the names of a criterion."""
    return Measurement(criterion=-distance(theta), mmi=-distance(theta))


def distance(theta: np.ndarray) -> float:
    """Root mean square over the parameters."""
    return float(np.sqrt(np.mean((theta - TARGET) ** 2, dtype=np.float64)))
