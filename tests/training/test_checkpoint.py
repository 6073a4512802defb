"""Rest and checkpoint: a run that was stopped and resumed equals one that was not stopped."""

import json
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import save
from toy import Rows, Toy, advance, digest, has_ended, of_kind, settings

from workbench.engine import Cost, Local, load_machine
from workbench.settings import UserError
from workbench.training import Checkpoint, pack, unpack, unpack_checkpoint
from workbench.training.schedule import Schedule

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)


class Driven(NamedTuple):
    """A run that has ended, or was stopped at a checkpoint."""

    checkpoint: Checkpoint
    theta: np.ndarray
    rows: Rows


def drive(s, every, stop_after=None, checkpoint=None):
    """Run from checkpoint to checkpoint, through bytes, to the end or to number ``stop_after``."""
    shards = TOY.shards(s)
    services = shards.servers(s)
    checkpoint = checkpoint or Checkpoint()
    checkpoint.restore(services)
    rows = Rows()
    executor = Local(PAPER, s.asynchrony.channel)
    while not has_ended(checkpoint) and checkpoint.number != stop_after:
        processes = TOY.processes(s, shards, checkpoint.states)
        checkpoint = advance(executor, processes, services, rows, checkpoint, every)
    return Driven(checkpoint, shards.collect(services), rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        dict(replicas=1, shuffling="none"),
        dict(replicas=5, shards=3, fetch_every=3, push_every=2),
        dict(replicas=4, criterion="mmi", shards=2),
        dict(replicas=4, criterion="mmi", drift_every=2),
        dict(
            replicas=3,
            criterion="mmi",
            decoder_fetch="synchronous",
            decoder_seconds=2.0,
            optimizer="adagrad",
        ),
        dict(
            replicas=3,
            criterion="mmi",
            decoder_fetch="utterances",
            auxiliary="fresh",
            delay_compensation=0.1,
        ),
        dict(replicas=4, shards=2, synchronous=True, backups=1, optimizer="momentum"),
        dict(replicas=4, shards=2, criterion="mmi", prefetch=True, fetch_every=2),
        dict(
            replicas=4,
            shards=2,
            wire="bfloat16",
            push_every=2,
            delay_compensation=0.1,
            consistent_fetch=True,
        ),
        dict(
            replicas=4,
            shards=2,
            consistent_fetch=True,
            staleness_bound=3,
            patience=1,
            decays=1,
            flat=0.2,
        ),
    ],
    ids=str,
)
def test_a_resumed_run_equals_an_uninterrupted_one(changes):
    """Stopped after any checkpoint and resumed, a run gives the same parameters and rows."""
    s = settings(epochs=3.0, **changes)
    every = int(TOY.offsets[-1]) // 3
    whole = drive(s, every)
    for number in (1, 2, 3, 5, 7):
        stopped = drive(s, every, stop_after=number)
        if stopped.checkpoint.number < number:
            break  # the schedule has ended training before
        resumed = drive(s, every, checkpoint=stopped.checkpoint)
        assert np.array_equal(resumed.theta, whole.theta)
        assert digest(stopped.rows + resumed.rows) == digest(whole.rows)


def test_resting_loses_nothing():
    """A run with many checkpoints settles every item once and visits every frame."""
    s = settings(criterion="mmi", replicas=4, shards=2, epochs=3.0)
    rows = drive(s, 20).rows
    pushes = of_kind(rows, "push")
    frames = 3 * TOY.offsets[-1]
    assert len({(r["replica"], r["step"]) for r in pushes}) == len(pushes)
    assert sum(r["frames"] for r in pushes) == frames
    assert sum(r["frames"] for r in of_kind(rows, "decode")) == frames


def test_a_checkpoint_holds_nothing_unknown():
    """Unknown types are refused when read, and objects that are not data when written."""
    with pytest.raises(UserError, match="unknown type 'Toy'"):
        unpack({**pack(None), "state.json": b'{"type": "Toy", "fields": {}}'})
    with pytest.raises(TypeError, match="cannot be encoded: Toy"):
        pack({"x": TOY})


def test_a_checkpoint_is_nothing_else():
    """Files that hold another value, and processes that return one, are refused by name."""
    with pytest.raises(UserError, match="holds Schedule, not a checkpoint"):
        unpack_checkpoint(pack(Schedule()))
    with pytest.raises(TypeError, match="replica 0 returned int"):
        Checkpoint.of(1, {"replica 0": 7}, {}, 0, {}, {})


def test_a_checkpoint_shares_arrays():
    """An array with several owners is saved once, and has several owners again."""
    x = np.arange(1000, dtype=np.float32)
    files = pack([x, x, {"again": x}])
    assert len(files["arrays.safetensors"]) < 4200
    one, two, three = unpack(files)
    assert one is two is three["again"]
    assert np.array_equal(one, x)


def test_a_checkpoint_of_the_first_format_is_read():
    """Checkpoints from before the present format, with former names of types, are still read."""
    x = np.arange(3, dtype=np.float32)
    outer = {"decoded": None, "versions": [1, 2], "seconds": 0.5}
    held = {"items": [{"type": "Outer", "fields": outer}], "closed": False}
    parameters = {"theta": {"array": "0"}, "versions": [4], "seconds": 1.0, "ended": False}
    fields = {
        "number": 3,
        "states": {"dict": {"decoder 0": {"type": "Parameters", "fields": parameters}}},
        "channels": {"dict": {"decoded 0": {"type": "Held", "fields": held}}},
        "ticks": 7,
        "servers": {"dict": {}},
        "positions": {"dict": {"rows-evaluator.jsonl": 12}},
    }
    state = json.dumps({"type": "Checkpoint", "fields": fields}).encode()
    found = unpack({"state.json": state, "arrays.safetensors": save({"0": x})})
    assert (found.number, found.ticks, found.positions) == (3, 7, {"rows-evaluator.jsonl": 12})
    (utterance,) = found.channels["decoded 0"].items
    assert (utterance.versions, utterance.seconds) == ((1, 2), 0.5)
    assert found.states["decoder 0"].versions == (4,)
    assert np.array_equal(found.states["decoder 0"].theta, x)
