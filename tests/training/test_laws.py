"""What must hold on every clock, whichever process computes, and however often."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from toy import Toy, digest, of_kind, settings

from workbench.batches import FrameBatch, FrameOrder, subsets
from workbench.engine import Cost, free, load_machine, measured
from workbench.training import Item, ParameterServer, PushStatus

TOY = Toy()
PAPER = Cost(load_machine("paper"), seed=1)
CLOCKS = [free, measured, PAPER]


def plain_sgd(toy, s):
    """The oracle: SGD as a loop."""
    theta = toy.theta.copy()
    for positions in toy.frame_order(s).batches():
        g = toy.gradient(theta, FrameBatch(positions))
        theta = theta + np.float32(s.updates.learning_rate / s.batches.size) * g.value
    return theta


@pytest.mark.parametrize("clock", CLOCKS, ids=["free", "measured", "cost"])
@pytest.mark.parametrize("shuffling", ["none", "on-the-fly", "full"])
@pytest.mark.parametrize("shards", [1, 3])
def test_one_replica_is_plain_sgd_bit_for_bit(clock, shuffling, shards):
    """Whatever the clock and the number of shards, one replica computes what the loop computes."""
    s = settings(shuffling=shuffling, shards=shards)
    theta, rows, _, _ = TOY.run(s, clock)
    assert np.array_equal(theta, plain_sgd(TOY, s))
    assert all(r["staleness_inner"] == 0 for r in of_kind(rows, "push"))


def test_one_fresh_replica_climbs_the_exact_gradient():
    """With auxiliary=fresh one replica computes what the loop of cross entropy computes."""
    toy = Toy(keep=-1.0)
    s = settings(criterion="mmi", auxiliary="fresh", shuffling="none")
    fresh, _, _, _ = toy.run(s)
    np.testing.assert_allclose(fresh, plain_sgd(toy, s), rtol=1e-4, atol=1e-6)
    frozen, _, _, _ = toy.run(s.replace(auxiliary="frozen"))
    assert np.abs(frozen - fresh).max() > 1e-3


@pytest.mark.parametrize("criterion", ["ce", "mmi"])
def test_the_same_seed_gives_the_same_rows(criterion):
    """Two runs of 50 replicas, their decoders and 4 shards agree in every number of every row."""
    toy = Toy(utterances=100)
    s = settings(criterion=criterion, replicas=50, shards=4, batch=4)
    one, two = (toy.run(s, PAPER) for _ in range(2))
    assert digest(one[1]) == digest(two[1])
    assert np.array_equal(one[0], two[0])
    assert digest(toy.run(s.replace(seed=1), PAPER)[1]) != digest(one[1])


@pytest.mark.parametrize("clock", [free, PAPER], ids=["free", "cost"])
@pytest.mark.parametrize(
    "changes", [dict(), dict(criterion="mmi"), dict(criterion="mmi", prefetch=True)], ids=str
)
def test_threads_change_nothing(changes, clock):
    """Work in three threads gives the rows and the parameters of work done one after the other."""
    s = settings(replicas=4, shards=2, **changes)
    one, two = (TOY.run(s, clock, threads=threads) for threads in (0, 3))
    assert digest(one[1]) == digest(two[1])
    assert np.array_equal(one[0], two[0])


@pytest.mark.parametrize(
    "changes",
    [
        dict(replicas=7, shards=3),
        dict(replicas=5, shards=2, criterion="mmi"),
        dict(replicas=6, shards=2, staleness_bound=2),
        dict(replicas=6, shards=3, consistent_fetch=True),
        dict(replicas=3, push_every=3, fetch_every=2),
        dict(replicas=5, shards=2, wire="bfloat16", staleness_bound=4),
        dict(replicas=6, shards=2, prefetch=True, staleness_bound=3, criterion="mmi"),
        dict(replicas=3, prefetch=True, push_every=2, fetch_every=3),
        dict(replicas=4, criterion="mmi", shuffling="none", optimizer="momentum"),
    ],
    ids=str,
)
def test_updates_applied_are_pushes_accepted(changes):
    """Every shard applies each accepted push once, and visits every frame `epochs` times."""
    _, rows, _, services = TOY.run(settings(**changes), PAPER)
    pushes = of_kind(rows, "push")
    assert {r["status"] for r in pushes} == {"applied"}
    for server in services.values():
        assert server.version == len(pushes) == len(server.ledger)
        assert not server.ledger.beyond
        assert server.frames == 2 * TOY.offsets[-1]
    assert len({(r["replica"], r["step"]) for r in pushes}) == len(pushes)
    for i in range(changes["replicas"]):
        assert [r["step"] for r in pushes if r["replica"] == i] == list(
            range(sum(r["replica"] == i for r in pushes))
        )


class CopyingServer(ParameterServer):
    """Keeps a copy of every snapshot that it publishes."""

    def __init__(self, *args):
        super().__init__(*args)
        self.published = []

    def fetch(self, *args):
        snapshot = super().fetch(*args)
        self.published.append((snapshot, snapshot.value.copy()))
        return snapshot


@pytest.mark.parametrize(
    "changes",
    [dict(), dict(optimizer="adagrad"), dict(synchronous=True), dict(consistent_fetch=True)],
)
def test_published_parameters_never_change(changes):
    """Parameters that were fetched keep their bits to the end of the run."""
    s = settings(replicas=4, shards=2, **changes)
    shards = TOY.shards(s)
    services = {
        name: CopyingServer(v, s)
        for name, v in zip(shards.names, shards.cut(shards.base), strict=True)
    }
    TOY.run(s, PAPER, services=services)
    for server in services.values():
        assert len(server.published) > 20
        assert all(np.array_equal(snapshot.value, copy) for snapshot, copy in server.published)


class StutteringServer(ParameterServer):
    """Receives every push twice, as after a reply that was lost."""

    def push(self, push):
        ack = super().push(push)
        again = super().push(push)
        assert again.status is PushStatus.DUPLICATE or ack.status is PushStatus.STALE
        return ack


def test_a_duplicate_push_changes_nothing():
    """A run in which every push arrives twice equals the run in which it arrives once."""
    s = settings(replicas=5, shards=2, criterion="mmi")
    shards = TOY.shards(s)
    services = {
        name: StutteringServer(v, s)
        for name, v in zip(shards.names, shards.cut(shards.base), strict=True)
    }
    once = TOY.run(s, PAPER)
    twice = TOY.run(s, PAPER, services=services)
    assert np.array_equal(once[0], twice[0])
    assert digest(once[1]) == digest(twice[1])


@pytest.mark.parametrize("shards", [1, 3])
def test_the_staleness_bound_holds(shards):
    """With the bound no update is older, and every batch is applied all the same."""
    s = settings(replicas=8, shards=shards)
    without = of_kind(TOY.run(s, PAPER)[1], "push")
    bound = of_kind(TOY.run(s.replace(staleness_bound=3), PAPER)[1], "push")
    assert max(r["staleness_inner"] for r in without) > 3
    leader = [r["version"] - r["inner_versions"][0] for r in bound]
    assert max(leader) <= 3
    assert sum(r["refused"] for r in bound) > 0
    assert len(bound) == len(without)


class PreparingServer(ParameterServer):
    """Does the long part of each push before its turn, as a cluster's host does.

    After some of them it prepares another push in vain.
    """

    def push(self, push):
        coming = [push]
        if self.version % 3 == 0:
            coming.append(replace(push, item=Item(99, 0), scale=2 * push.scale))
        for expected in coming:
            do_long_part = self.ahead(expected)
            if do_long_part is not None:
                do_long_part()
        return super().push(push)


@pytest.mark.parametrize(
    "changes",
    [
        dict(),
        dict(shards=2, staleness_bound=2),
        dict(optimizer="momentum"),
        dict(synchronous=True),
        dict(warmup=9),
    ],
    ids=str,
)
def test_what_is_done_ahead_changes_nothing(changes):
    """A run whose servers prepare pushes, also in vain, equals a run whose servers do not."""
    s = settings(replicas=5, criterion="mmi", patience=1, flat=0.5, **changes)
    shards = TOY.shards(s)
    services = {
        name: PreparingServer(v, s)
        for name, v in zip(shards.names, shards.cut(shards.base), strict=True)
    }
    plain = TOY.run(s, PAPER)
    ahead = TOY.run(s, PAPER, services=services)
    assert np.array_equal(plain[0], ahead[0])
    assert digest(plain[1]) == digest(ahead[1])


@pytest.mark.parametrize("shards", [1, 3])
def test_synchronous_training_is_sgd_with_one_big_batch(shards):
    """Four synchronous replicas make the updates of a loop over the union of their batches."""
    toy = Toy(lengths=(8, 9))
    s = settings(synchronous=True, replicas=4, shards=shards, shuffling="full", epochs=3.0)
    theta, rows, _, services = toy.run(s, PAPER)
    orders = [
        FrameOrder("full", toy.offsets, part, 8, 3.0, 0, i)
        for i, part in enumerate(subsets(24, 4, 0))
    ]
    want = toy.theta.copy()
    for parts in zip(*(order.batches() for order in orders), strict=True):
        g = toy.gradient(want, FrameBatch(np.concatenate(parts)))
        want = want + np.float32(s.updates.learning_rate / (4 * s.batches.size)) * g.value
    np.testing.assert_allclose(theta, want, rtol=2e-5, atol=2e-6)
    assert {server.version for server in services.values()} == {18}
    assert {r["staleness_inner"] for r in of_kind(rows, "push")} == {0.0}


def test_backups_let_synchronous_training_leave_stragglers_behind():
    """With two backups of six, late pushes are dropped and the run takes less time."""
    s = settings(synchronous=True, replicas=6, epochs=4.0)
    slow = Cost(replace(PAPER.machine, straggler_share=0.3, straggler_factor=5.0), 3)
    without = TOY.run(s, slow)
    with_ = TOY.run(s.replace(backups=2), slow)
    assert with_[2].seconds < without[2].seconds
    assert {r["status"] for r in of_kind(with_[1], "push")} == {"applied", "late"}
    assert {r["status"] for r in of_kind(without[1], "push")} == {"applied"}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("criterion", ["ce", "mmi"])
def test_backups_do_not_part_the_shards(criterion, seed):
    """A late replica meets all shards at the same update, so none waits in vain."""
    s = settings(synchronous=True, backups=1, replicas=4, shards=3, epochs=6.0, criterion=criterion)
    uneven = replace(
        PAPER.machine,
        network_jitter=1.5,
        latency=0.05,
        straggler_share=0.3,
        straggler_factor=1.5,
        pause_every=0.0,
    )
    _, rows, _, services = TOY.run(s, Cost(uneven, seed))
    assert len({server.version for server in services.values()}) == 1
    pushes = of_kind(rows, "push")
    assert {r["status"] for r in pushes} == {"applied", "late"}
    assert {r["skew"] for r in pushes if r["status"] == "applied"} == {0}


@pytest.mark.parametrize("consistent", [False, True])
def test_a_consistent_fetch_has_no_skew(consistent):
    """With the option every fetch is of one version; without it, on a busy server, some are not."""
    s = settings(replicas=12, shards=4, batch=2, epochs=4.0, consistent_fetch=consistent)
    skew = [r["skew"] for r in of_kind(TOY.run(s, PAPER)[1], "push")]
    assert (max(skew) == 0) == consistent


def test_parts_that_are_not_trained_stay():
    """Only the trained slice changes; the rest keeps its bits, with one shard or several."""
    toy = Toy(trained=slice(8, 20))
    for shards in (1, 3):
        theta, _, _, _ = toy.run(settings(replicas=3, shards=shards))
        same = theta == toy.theta
        assert same[:8].all()
        assert same[20:].all()
        assert not same[8:20].any()


def test_all_components_stop_when_training_ends():
    """When the schedule is over, replicas and decoders stop before their data end."""
    s = settings(criterion="mmi", replicas=3, epochs=50.0, patience=1, decays=1, flat=0.5)
    _, rows, outcome, services = TOY.run(s, PAPER)
    assert all(state.finished for state in outcome.returned.values())
    assert services["server 0"].frames < 25 * TOY.offsets[-1]
    assert [r["decays"] for r in of_kind(rows, "rate")] == [1]
    assert len(of_kind(rows, "end")) == 1


def test_more_replicas_are_faster_in_virtual_time():
    """Ten replicas take less virtual time than one for the same data, and push staler gradients."""
    one, ten = (TOY.run(settings(replicas=n, epochs=4.0), PAPER) for n in (1, 10))
    assert ten[2].seconds < one[2].seconds / 4
    stale = [r["staleness_inner"] for r in of_kind(ten[1], "push")]
    assert 4 < np.mean(stale) < 12


@pytest.mark.parametrize("shards", [1, 3])
def test_replicas_cannot_push_more_than_the_servers_links_carry(shards):
    """Where links are narrow, more replicas are no faster, and more shards are."""
    machine = replace(PAPER.machine, byte=2e-3, network_jitter=0.0, latency=0.0)
    s = settings(shards=shards, epochs=4.0, shuffling="none")
    runs = [TOY.run(s.replace(replicas=n), Cost(machine, 1)) for n in (10, 20)]
    for run in runs:
        bytes_each = run.theta.nbytes / shards
        seconds = len(of_kind(run.rows, "push")) * bytes_each * machine.byte
        assert seconds < run.outcome.seconds
        assert seconds > 0.6 * run.outcome.seconds

    ten, twenty = (run.outcome.seconds / len(of_kind(run.rows, "push")) for run in runs)
    assert twenty == pytest.approx(ten, rel=0.15)


def test_time_never_runs_backwards():
    """The rows of a process, and all rows together, are in the order of time."""
    _, rows, _, _ = TOY.run(settings(criterion="mmi", replicas=6, shards=2), PAPER)
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(rows))


@pytest.mark.slow
def test_a_thousand_replicas_run():
    """A run of 1,000 replicas with 1,000 decoders and 4 shards ends with every push applied."""
    toy = Toy(utterances=1000)
    s = settings(
        criterion="mmi", shuffling="none", replicas=1000, shards=4, epochs=1.0, learning_rate=1e-4
    )
    _, rows, _, services = toy.run(s, PAPER)
    assert services["server 0"].version == len(of_kind(rows, "push")) > 1000


def test_channels_hold_decoders_back():
    """No more decoded utterances wait than the channel holds."""
    s = settings(criterion="mmi", replicas=2, channel=2, batch=3)
    _, rows, _, _ = TOY.run(s, free)
    assert max(r["queue"] for r in of_kind(rows, "decode")) == 2


def test_an_idle_run_is_no_deadlock():
    """Without an evaluator, replicas and decoders end by themselves."""
    _, rows, outcome, _ = TOY.run(settings(criterion="mmi", replicas=2), free, measure=False)
    assert set(outcome.returned) == {"replica 0", "replica 1", "decoder 0", "decoder 1"}
    assert of_kind(rows, "evaluate") == []
