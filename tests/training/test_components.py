"""Replicas, decoders and evaluators, in runs and driven by hand, effect by effect."""

from dataclasses import replace

import numpy as np
import pytest
from toy import SIZE, Rows, Toy, of_kind, settings

from workbench.batches import UtteranceOrder
from workbench.engine import (
    CLOSED,
    RESTING,
    All,
    Close,
    Cost,
    Emit,
    Local,
    Now,
    Put,
    Rest,
    Work,
    free,
    load_machine,
)
from workbench.settings import UserError
from workbench.training import (
    Gradient,
    OuterSource,
    Schedule,
    Shards,
    Snapshot,
    decoder,
    replica,
)
from workbench.training.replica import scaled_gradient

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)


def test_shards_cut_and_join():
    """Joining what was cut is the identity, and the parts are nearly equal."""
    base = np.arange(20, dtype=np.float32)
    for trained in (slice(None), slice(3, 17), slice(10, 20)):
        for count in (1, 2, 5):
            shards = Shards.split(base, trained, count)
            parts = shards.cut(base[trained] + 100)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            want = base.copy()
            want[trained] += 100
            assert np.array_equal(shards.join(parts), want)
    with pytest.raises(UserError, match="shards=5: only 3 parameters"):
        Shards.split(base, slice(0, 3), 5)


@pytest.mark.parametrize("trained", [slice(None), slice(600, 900)])
def test_shards_travel_light(trained):
    """Shards that have travelled join and cut alike; no array travels if everything is trained."""
    shards = Shards.split(np.arange(1000, dtype=np.float32), trained, 3)
    make, arguments = shards.__reduce__()
    again = make(*arguments)
    values = shards.cut(np.ones(1000, np.float32)[trained])
    assert np.array_equal(again.join(values), shards.join(values))
    assert again.sizes == shards.sizes
    light = not any(isinstance(argument, np.ndarray) for argument in arguments)
    assert light == (trained == slice(None))


@pytest.mark.parametrize(
    "frames, limit, scale",
    [
        (1, 0.0, 1.0),
        (2, 0.0, 0.5),
        (1, 1.0, 0.2),
        (1, 9.0, 1.0),
        (4, 1.0, 0.2),
        (8, 1.0, 0.125),
    ],
)
def test_the_mean_is_over_full_batches_and_not_longer_than_allowed(frames, limit, scale):
    """A sum is divided by the frames of full batches, and cut to max_norm."""
    g = np.array([3.0, 4.0], np.float32)
    pushed = scaled_gradient(Gradient(g, 1), frames, settings(max_norm=limit))
    assert pushed.total is g
    assert pushed.scale == pytest.approx(scale)


def test_a_gradient_of_zeros_is_not_cut():
    """The limit of the norm does not divide by zero."""
    zeros = np.zeros(2, np.float32)
    assert scaled_gradient(Gradient(zeros, 1), 8, settings(max_norm=1.0)).scale == 0.125


def test_nothing_is_pushed_of_no_frames():
    """Without a batch, or of batches without frames, there is no gradient and no fault."""
    g = np.array([3.0, 4.0], np.float32)
    for total in (None, Gradient(g, 0)):
        assert scaled_gradient(total, 8, settings()) == (None, 0.0)


@pytest.mark.parametrize("changes", [dict(shards=2), dict(max_norm=1.0)], ids=str)
def test_a_sum_that_is_not_finite_is_not_pushed(changes):
    """Where a shard could not see it by itself, such a sum is replaced by the scale NaN."""
    bad = np.array([np.nan, np.nan], np.float32)
    pushed = scaled_gradient(Gradient(bad, 1), 8, settings(**changes))
    assert pushed.total is None
    assert np.isnan(pushed.scale)


def drive_by_hand(process, replies):
    """Answer a process by the type of effect; return its effects and its return value."""
    reply = None
    seen = []
    try:
        while True:
            effect = process.send(reply)
            seen.append(effect)
            reply = next(replies[type(effect)])
    except StopIteration as end:
        return seen, end.value


def always(value):
    """The same answer for ever."""
    while True:
        yield value


def test_a_decoder_by_hand():
    """It rests, fetches, decodes, emits and puts in this order, and closes its channel."""
    shards = TOY.shards(settings(criterion="mmi"))
    s = settings(criterion="mmi", epochs=1.0)
    order = UtteranceOrder(np.array([3, 5]), 1.0, 0)
    process = decoder("decoder 0", shards, s, order, TOY.decode, TOY.lengths, "out")
    snapshot = Snapshot(7, TOY.theta)
    work = iter([TOY.decode(TOY.theta, u) for u in order.start()])
    replies = {
        Rest: always(False),
        Now: always(1.5),
        All: always([snapshot]),
        Work: work,
        Emit: always(None),
        Put: always(1),
    }
    seen, end = drive_by_hand(process, {**replies, Close: always(None)})
    one = [Rest, Now, Now, All, Now, Work, Emit, Now, Put, Now]
    assert [type(e) for e in seen] == [*one, *one, Close]
    assert end.finished
    put = seen[8].item
    assert put.versions == (7,)
    assert put.seconds == 1.5
    assert put.decoded.utterance == next(order.start())
    assert seen[5].kind == "decode"
    assert seen[5].size == TOY.lengths[put.decoded.utterance]


def test_a_decoder_stops_when_its_channel_is_closed():
    """If the replica has closed the channel, the decoder drops the utterance and ends."""
    shards = TOY.shards(settings())
    s = settings(criterion="mmi", epochs=9.0)
    process = decoder(
        "decoder 0", shards, s, UtteranceOrder(np.arange(9), 9.0, 0), TOY.decode, TOY.lengths, "out"
    )
    replies = {
        Rest: always(False),
        Now: always(0.0),
        All: always([Snapshot(0, TOY.theta)]),
        Emit: always(None),
    }
    work = always(TOY.decode(TOY.theta, 0))
    closed = always(CLOSED)
    seen, end = drive_by_hand(process, {**replies, Work: work, Put: closed, Close: always(None)})
    assert sum(isinstance(e, Put) for e in seen) == 1
    assert end.finished


@pytest.mark.parametrize(
    "changes, versions",
    [
        (dict(decoder_fetch="utterance"), [0, 1, 2, 3, 4, 5]),
        (dict(decoder_fetch="utterances", decoder_utterances=3), [0, 0, 0, 3, 3, 3]),
        (dict(decoder_fetch="seconds", decoder_seconds=20.0), [0, 0, 2, 2, 4, 4]),
        (dict(decoder_fetch="synchronous", decoder_seconds=25.0), [0, 0, 0, 3, 3, 5]),
    ],
    ids=str,
)
def test_decoders_fetch_by_their_policy(changes, versions):
    """Utterances that take 10 s each are decoded with the parameters of the policy's last fetch."""
    s = settings(criterion="mmi", **changes)
    order = UtteranceOrder(np.arange(6), 1.0, 0)
    process = decoder("d", TOY.shards(s), s, order, TOY.decode, TOY.lengths, "out")
    now = 0.0
    decoded = 0
    seen = []
    effect = process.send(None)
    while not isinstance(effect, Close):
        replies = {Rest: False, Now: now, All: [Snapshot(decoded, TOY.theta)], Put: 1}
        reply = replies.get(type(effect))
        if isinstance(effect, Work):
            reply = TOY.decode(TOY.theta, 0)
            now += 10.0
            decoded += 1
        if isinstance(effect, Put):
            seen.append(effect.item.versions[0])
        effect = process.send(reply)
    assert seen == versions


def test_decoders_of_a_common_fetch_have_the_same_parameters():
    """With decoder_fetch=synchronous all decoders use the same few versions."""
    s = settings(
        criterion="mmi",
        replicas=6,
        shards=2,
        epochs=6.0,
        decoder_fetch="synchronous",
        decoder_seconds=1.0,
    )
    rows = of_kind(TOY.run(s, PAPER).rows, "decode")
    common = {int(r["seconds"] - r["age_seconds"]) for r in rows}
    assert 2 < len({tuple(r["versions"]) for r in rows}) <= len(common) + 1
    apart = of_kind(TOY.run(s.replace(decoder_fetch="utterance"), PAPER).rows, "decode")
    assert len({tuple(r["versions"]) for r in apart}) > 4 * len(common)


def test_rare_fetches_make_stale_gradients():
    """Each version serves four batches with fetch_every=4; pushes can be as rare."""
    rows = of_kind(TOY.run(settings(fetch_every=4)).rows, "push")
    assert [r["staleness_inner"] for r in rows[:8]] == [0, 1, 2, 3, 0, 1, 2, 3]
    rows = of_kind(TOY.run(settings(push_every=4)).rows, "push")
    assert [r["batch"] for r in rows[:3]] == [32, 32, 32]
    assert sum(r["batch"] for r in rows) == 2 * TOY.offsets[-1]


def test_frames_are_accounted_for():
    """Frames visited = decoded = kept + cancelled + rejected, and frames trained on = kept."""
    _, rows, _, services = TOY.run(settings(criterion="mmi", replicas=4, shards=2), PAPER)
    decoded = of_kind(rows, "decode")
    pushed = of_kind(rows, "push")
    total = sum(r["frames"] for r in decoded)
    assert total == services["server 0"].frames == 2 * TOY.offsets[-1]
    assert total == sum(r["kept"] + r["cancelled"] + r["rejected"] for r in decoded)
    assert sum(r["batch"] for r in pushed) == sum(r["kept"] for r in decoded)


def test_slots_of_sequence_training_start_apart():
    """The first utterance of a slot begins at any kept frame; what comes before is left out.

    Slots that are filled later, and a single queue, take whole utterances.
    """
    chosen = settings(criterion="mmi", slot_start="apart", batch=8)
    for shuffling, whole in (("on-the-fly", False), ("none", True)):
        _, rows, _, _ = TOY.run(chosen.replace(shuffling=shuffling), PAPER)
        kept = [r["kept"] for r in of_kind(rows, "decode")]
        trained = sum(r["batch"] for r in of_kind(rows, "push"))
        left_out = sum(kept) - trained
        assert (left_out == 0) is whole
        assert left_out < sum(sorted(kept)[-8:])


def test_utterances_without_kept_frames_are_skipped():
    """If no frame is kept nothing is pushed, but the frames count and the run ends."""
    theta, rows, _, services = Toy(keep=9.0).run(settings(criterion="mmi", replicas=2), PAPER)
    assert of_kind(rows, "push") == []
    assert services["server 0"].frames == 2 * TOY.offsets[-1]
    assert np.array_equal(theta, TOY.theta)


def test_a_gradient_that_is_not_finite_is_not_applied():
    """Nothing is pushed in its place, the row is rejected, and training continues."""
    toy = Toy()
    good = toy.gradient
    calls = iter(range(10**6))

    def gradient(theta, batch):
        found = good(theta, batch)
        return replace(found, value=found.value * (np.nan if next(calls) == 3 else 1.0))

    toy.gradient = gradient
    theta, rows, _, services = toy.run(settings(shards=2))
    statuses = [r["status"] for r in of_kind(rows, "push")]
    assert statuses[3] == "rejected"
    assert statuses.count("applied") == len(statuses) - 1 == services["server 1"].version
    assert np.isfinite(theta).all()


def test_auxiliary_fresh_needs_decode():
    """A source for auxiliary=fresh cannot be made without a function that decodes."""
    with pytest.raises(ValueError, match="auxiliary=fresh"):
        OuterSource("c", settings(criterion="mmi", auxiliary="fresh"))


def test_the_schedule_follows_the_curve():
    """Two flat evaluations divide the rate; a gain restarts the count; decays are limited."""
    s = settings(patience=2, decays=1, flat=0.01)
    schedule = Schedule()
    seen = []
    for criterion in (-2.0, -1.0, -0.999, -1.5, -0.5, float("nan"), -0.499):
        schedule = schedule.after(criterion, s.updates)
        seen.append((schedule.flat, schedule.decays, schedule.over))
    assert seen == [(0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 1, 0), (1, 1, 0), (0, 1, 1)]
    assert schedule.best == -0.499


def test_evaluations_come_at_fixed_shares_of_an_epoch():
    """One replica on the free clock is measured at 0, every half epoch and at the end."""
    frames = int(TOY.offsets[-1])
    theta, rows, _, services = TOY.run(settings(evaluate_every=0.5, batch=4), free)
    found = of_kind(rows, "evaluate")
    assert [r["index"] for r in found] == [0, 1, 2, 3, 4]
    assert all(-1 < r["frames"] - i * frames / 2 < 5 for i, r in enumerate(found))
    assert found[-1]["updates"] == services["server 0"].version
    assert found[-1]["criterion"] == TOY.evaluate(theta).criterion


def test_components_can_be_put_together_by_hand():
    """A server and two replicas with a decoder each, wired by hand, learn on the laptop's clock."""
    s = settings(criterion="mmi", replicas=2)
    shards = Shards.split(np.zeros(SIZE, np.float32))
    services = shards.servers(s)
    processes = {}
    rows = Rows()
    for i in range(2):
        utterances = UtteranceOrder(np.arange(i, 24, 2), 2.0, seed=0, stream=i)
        processes[f"decoder {i}"] = decoder(
            f"decoder {i}", shards, s, utterances, TOY.decode, TOY.lengths, f"c{i}"
        )
        processes[f"replica {i}"] = replica(
            f"replica {i}", i, shards, s, OuterSource(f"c{i}", s), TOY.gradient
        )
    Local(Cost(load_machine("laptop", parameters=SIZE))).run(processes, services, rows.emit)
    before = TOY.evaluate(shards.base).criterion
    after = TOY.evaluate(shards.collect(services)).criterion
    assert after > before + 0.5
    assert services["server 0"].version == len(of_kind(rows, "push"))
    assert RESTING not in [r.get("status") for r in rows]
