"""Laws of rest and checkpoint: a run that was stopped and one that was not are the same run."""

import numpy as np
import pytest
from toy import Rows, Toy, digest, of_kind, settings

from workbench.engine import Cost, Local, load_machine
from workbench.settings import UserError
from workbench.training import Checkpoint, pack, unpack

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)


def drive(toy, s, clock, every, stop_after=None, checkpoint=None):
    """Run from checkpoint to checkpoint, through bytes; after ``stop_after`` of them, return the last one instead."""
    shards = toy.shards(s)
    rows = Rows()
    services = shards.servers(s)
    checkpoint = checkpoint or Checkpoint()
    if checkpoint.servers:
        checkpoint.restore(services)
    executor = Local(clock, s.asynchrony.channel)
    while not (checkpoint.states and all(state.finished for state in checkpoint.states.values())):
        due = (checkpoint.number + 1) * every
        out = executor.run(
            toy.processes(s, shards, checkpoint.states),
            services,
            rows.emit,
            lambda due=due: services["server 0"].frames >= due,
            checkpoint.channels,
            checkpoint.ticks,
        )
        number = checkpoint.number + (services["server 0"].frames >= due)
        checkpoint = unpack(
            pack(Checkpoint.of(number, out.returned, out.channels, out.ticks, services, {}))
        )
        if stop_after == number:
            return checkpoint, rows
    return shards.collect(services), rows


@pytest.mark.parametrize(
    "changes",
    [
        dict(replicas=1, shuffling="none"),
        dict(replicas=5, shards=3, fetch_every=3, push_every=2),
        dict(replicas=4, criterion="mmi", shards=2),
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
    """Stopped after any checkpoint and gone on with from its bytes, a run gives the same parameters and rows."""
    s = settings(epochs=3.0, **changes)
    every = int(TOY.offsets[-1]) // 3
    theta, rows = drive(TOY, s, PAPER, every)
    for stop in (1, 2, 3, 5, 7):
        checkpoint, before = drive(TOY, s, PAPER, every, stop_after=stop)
        if not isinstance(checkpoint, Checkpoint):
            break  # the schedule has ended training before
        again, after = drive(TOY, s, PAPER, every, checkpoint=checkpoint)
        assert np.array_equal(again, theta)
        assert digest(before + after) == digest(rows)


def test_resting_loses_nothing():
    """A run with many checkpoints settles the same items and visits the same frames as one without."""
    s = settings(criterion="mmi", replicas=4, shards=2, epochs=3.0)
    _, rows = drive(TOY, s, PAPER, 20)
    pushes = of_kind(rows, "push")
    assert len({(r["replica"], r["step"]) for r in pushes}) == len(pushes)
    assert (
        sum(r["frames"] for r in pushes)
        == 3 * TOY.offsets[-1]
        == sum(r["frames"] for r in of_kind(rows, "decode"))
    )


def test_a_checkpoint_holds_nothing_unknown():
    """Types that are not listed are refused when read, and what is no data is refused when written."""
    with pytest.raises(UserError, match="unknown type 'Toy'"):
        unpack({**pack(None), "state.json": b'{"type": "Toy", "fields": {}}'})
    with pytest.raises(TypeError, match="not to be saved: Toy"):
        pack({"x": TOY})


def test_a_checkpoint_shares_arrays():
    """An array that several owners hold is saved once."""
    x = np.arange(1000, dtype=np.float32)
    files = pack([x, x, {"again": x}])
    assert len(files["arrays.safetensors"]) < 4200
    one, two, three = unpack(files)
    assert one is two is three["again"]
    assert np.array_equal(one, x)
