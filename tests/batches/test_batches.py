"""Subsets, orders and slots, each against the obvious version."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.batches import FrameOrder, Slots, UtteranceOrder, subsets
from workbench.settings import UserError

LENGTHS = st.lists(st.integers(0, 9), min_size=1, max_size=12)
SHUFFLINGS = st.sampled_from(["none", "on-the-fly", "apart", "full"])


def an_order(lengths, shuffling="on-the-fly", batch=4, epochs=2.0, seed=0, stream=0):
    """An order of utterances of these lengths, all of them in one subset.

    Shuffling "apart" is that on-the-fly with slots that start apart.
    """
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    utterances = np.arange(len(lengths))
    if shuffling == "apart":
        name = "on-the-fly"
        return FrameOrder(name, offsets, utterances, batch, epochs, seed, stream, "apart")
    return FrameOrder(shuffling, offsets, utterances, batch, epochs, seed, stream)


def obvious_slots(order):
    """One list per slot: a batch pops the first frame of each, an empty slot loads an utterance."""
    utterances = UtteranceOrder(order.utterances, order.epochs, order.seed).start()
    waiting = [list(range(*order.offsets[u : u + 2])) for u in utterances]
    slots = [[] for _ in range(order.batch)]

    while True:
        for i in range(order.batch):
            while not slots[i] and waiting:
                slots[i] = waiting.pop(0)
        if not any(slots):
            return
        yield [slot.pop(0) for slot in slots if slot]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 9))
def test_subsets_cover_all_utterances_without_overlap(n, replicas, seed):
    """Every utterance belongs to one replica, and shares differ by at most one.

    More replicas than utterances are refused.
    """
    if replicas > n:
        with pytest.raises(UserError, match="replicas"):
            subsets(n, replicas, seed)
        return
    parts = subsets(n, replicas, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@settings(max_examples=60)
@given(LENGTHS, SHUFFLINGS, st.integers(1, 6), st.integers(1, 3), st.integers(0, 9))
def test_every_frame_is_visited_once_per_epoch(lengths, shuffling, batch, epochs, seed):
    """Each frame occurs ``epochs`` times in the stream, in batches of at most ``batch``."""
    seen = list(an_order(lengths, shuffling, batch, epochs, seed).batches())
    assert all(0 < len(b) <= batch and b.dtype == np.int64 for b in seen)
    frames = np.concatenate([np.empty(0, np.int64), *seen])
    assert sorted(frames.tolist()) == sorted(list(range(sum(lengths))) * epochs)


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 6), st.integers(0, 9))
def test_on_the_fly_equals_lists_of_slots(lengths, batch, seed):
    """The fast slots give the batches of the obvious ones, up to the order within a batch."""
    order = an_order(lengths, batch=batch, seed=seed)
    fast = [sorted(b.tolist()) for b in order.batches()]
    obvious = [sorted(b) for b in obvious_slots(order)]
    assert fast == obvious


@settings(max_examples=60)
@given(LENGTHS, SHUFFLINGS, st.integers(1, 6), st.integers(0, 30))
def test_a_stream_can_be_entered_anywhere(lengths, shuffling, batch, first):
    """`batches(first)` is the tail of `batches()`, so a resumed run sees the same data."""
    order = an_order(lengths, shuffling, batch, epochs=3.0)
    whole = [b.tolist() for b in order.batches()]
    assert [b.tolist() for b in order.batches(first)] == whole[first:]


def test_slots_that_start_apart_are_not_all_in_silence():
    """The first batch has frames of all parts of utterances, and no frame is lost."""
    lengths = [100] * 400
    together = an_order(lengths, batch=200, epochs=1.0)
    apart = an_order(lengths, "apart", batch=200, epochs=1.0)
    assert set((next(together.batches()) % 100).tolist()) == {0}

    first = next(apart.batches()) % 100
    assert 40 < first.mean() < 60
    assert first.std() == pytest.approx(100 / np.sqrt(12), rel=0.2)
    assert sorted(np.concatenate(list(apart.batches()))) == list(range(40_000))


def test_replicas_and_seeds_start_apart_in_their_own_ways():
    """Another replica or seed cuts the first utterances elsewhere, the same one where it did."""
    one = an_order([50] * 20, "apart", batch=8)
    first = next(one.batches()) % 50
    again = next(an_order([50] * 20, "apart", batch=8).batches()) % 50
    other = next(replace(one, stream=1).batches()) % 50
    seeded = next(replace(one, seed=1).batches()) % 50
    assert first.tolist() == again.tolist()
    assert len({tuple(batch) for batch in (first, other, seeded)}) == 3


def test_no_shuffling_keeps_utterances_together():
    """With shuffling=none a batch holds consecutive frames of one utterance after another."""
    order = an_order([5, 3, 7], "none", batch=4, epochs=1.0)
    frames = np.concatenate(list(order.batches()))
    jumps = np.flatnonzero(np.diff(frames) != 1)
    assert len(jumps) <= 2
    assert all(frames[j + 1] in order.offsets for j in jumps)


def test_streams_differ_by_replica_and_epoch():
    """Another replica, seed or epoch has another permutation."""
    base = an_order([6] * 8, "full", batch=48, epochs=2.0)
    first, second = base.batches()
    other = next(replace(base, stream=1).batches())
    seeded = next(replace(base, seed=1).batches())
    assert len({tuple(x) for x in (first, second, other, seeded)}) == 4


def test_half_an_epoch():
    """A part of an epoch visits that share of the data."""
    assert sum(map(len, an_order([5] * 8, "full", epochs=1.5).batches())) == 60
    order = UtteranceOrder(np.arange(8), 1.5, 0)
    whole = list(order.start())
    assert len(whole) == 12
    assert list(order.start(5)) == whole[5:]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What slots need of a decoded utterance."""

    utterance: int
    kept: np.ndarray
    indptr: np.ndarray
    states: np.ndarray
    values: np.ndarray
    numerator_states: np.ndarray


@dataclass(frozen=True, eq=False)
class Source:
    """A decoded utterance as it comes from a decoder."""

    decoded: Decoded


def a_source(utterance, kept, frames=20):
    """Frame t has t % 3 entries, all of value utterance + t / 100."""
    kept = np.array(kept, np.int32)
    rows = [np.full(t % 3, utterance + t / 100, np.float32) for t in kept]
    indptr = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
    values = np.concatenate([np.empty(0, np.float32), *rows])
    decoded = Decoded(
        utterance=utterance,
        kept=kept,
        indptr=indptr,
        states=np.arange(len(values), dtype=np.int32),
        values=values,
        numerator_states=np.arange(frames, dtype=np.int32),
    )
    return Source(decoded)


def frames_of(batch):
    """Utterance and frame of each row of a batch."""
    return list(zip(batch.utterance.tolist(), batch.frame.tolist(), strict=True))


def drain(slots, sources):
    """All batches of `sources` put through `slots`."""
    waiting = list(sources)
    while True:
        while slots.wanting and waiting:
            slots.load(waiting.pop(0))
        if slots.empty:
            return
        yield slots.next()


@given(
    st.lists(st.sets(st.integers(0, 19), max_size=8), max_size=10), st.integers(1, 5), st.booleans()
)
def test_slots_yield_every_kept_frame_once_with_its_row(kept, count, consecutive):
    """Each kept frame is in one batch with its own outer gradient.

    Utterances without kept frames are counted.
    """
    slots = Slots(count, consecutive)
    batches = list(drain(slots, [a_source(u, sorted(k)) for u, k in enumerate(kept)]))
    seen = [pair for batch in batches for pair in frames_of(batch)]
    assert sorted(seen) == sorted((u, t) for u, k in enumerate(kept) for t in k)
    assert slots.skipped == sum(not k for k in kept)

    for batch in batches:
        assert len(batch.frame) <= count
        assert len(batch.sources) == len(batch.frame)
        assert (batch.targets == batch.frame).all()
        for i, (u, t) in enumerate(frames_of(batch)):
            row = batch.values[batch.indptr[i] : batch.indptr[i + 1]]
            assert np.array_equal(row, np.full(t % 3, u + t / 100, np.float32))
            assert batch.sources[i].decoded.utterance == u


def test_a_batch_takes_one_frame_from_each_slot():
    """While utterances come, a batch has one frame of each of N utterances, in order of time."""
    slots = Slots(3)
    batches = list(drain(slots, [a_source(u, range(4)) for u in range(6)]))
    assert [sorted(b.utterance.tolist()) for b in batches] == [[0, 1, 2]] * 4 + [[3, 4, 5]] * 4
    assert [set(b.frame.tolist()) for b in batches] == [{0}, {1}, {2}, {3}] * 2


def test_consecutive_frames_without_shuffling():
    """With shuffling=none a batch is filled with consecutive kept frames."""
    sources = [a_source(0, [1, 2, 5]), a_source(1, [0, 7]), a_source(2, [3])]
    first, second = drain(Slots(4, consecutive=True), sources)
    assert frames_of(first) == [(0, 1), (0, 2), (0, 5), (1, 0)]
    assert frames_of(second) == [(1, 7), (2, 3)]


@pytest.mark.parametrize("consecutive", [False, True])
def test_slots_resume_from_their_state(consecutive):
    """Slots made again from their state yield the same remaining batches."""
    sources = [a_source(u, range(u, u + 5)) for u in range(7)]
    whole = [b.frame.tolist() for b in drain(Slots(3, consecutive), sources)]

    slots = Slots(3, consecutive)
    waiting = list(sources)
    seen = []
    while True:
        while slots.wanting and waiting:
            slots.load(waiting.pop(0))
        if slots.empty:
            break
        seen.append(slots.next().frame.tolist())
        slots = Slots(3, consecutive, slots.state(), slots.skipped)
    assert seen == whole
