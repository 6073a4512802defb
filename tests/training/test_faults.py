"""Runs that are killed anywhere, again and again: every frame still counts `epochs` times.

The gradient of a frame is 1 in the frame's own place, and the step size undoes the mean. So the
parameters are a ledger: they count, exactly, how often each frame was applied. Where several
batches make one push, the last push weighs its batches differently; there the expected counts are
those of a run that was never killed. Every weakening of the protocol shows in the ledger; the
mutants at the end are weakenings, and each must be caught.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from counting import Counting
from toy import Rows, advance, has_ended, of_kind, settings

from workbench.engine import Cost, Local, load_machine
from workbench.settings import Settings
from workbench.training import Checkpoint, ParameterServer, SourceState, pack, unpack
from workbench.training.ledger import Ledger

SEEDS = 60
FIRED: Counter = Counter()


class Crash(Exception):
    """All processes and services are lost; only what was saved remains."""


TOY = Counting(utterances=15, lengths=(3, 8))


def draw_settings(draw):
    """Any machine whose arithmetic stays whole: the frames of a push are a power of two."""
    batch = int(2 ** draw.integers(0, 4))
    push_every = int(draw.choice([1, 1, 2]))
    changes = dict(
        criterion=str(draw.choice(["ce", "mmi"])),
        shuffling=str(draw.choice(["none", "on-the-fly"])),
        replicas=int(draw.integers(1, 6)),
        shards=int(draw.integers(1, 4)),
        batch=batch,
        push_every=push_every,
        fetch_every=int(draw.integers(1, 4)),
        channel=int(draw.integers(1, 4)),
        epochs=float(draw.integers(1, 4)),
        decoder_fetch=str(draw.choice(["utterance", "utterances", "seconds", "synchronous"])),
        staleness_bound=int(draw.choice([0, 0, 0, 2])),
        consistent_fetch=bool(draw.integers(0, 5) == 0),
    )
    return settings(
        **changes, learning_rate=float(batch * push_every), seed=int(draw.integers(100))
    )


@dataclass
class Life:
    """The number of effects until all processes are killed; 0: never."""

    effects: int


def fragile(process, life):
    """The process, which raises Crash when the common ``life`` ends."""
    reply = None
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            return end.value
        life.effects -= 1
        if life.effects == 0:
            FIRED[f"killed at {type(effect).__name__}"] += 1
            raise Crash
        reply = yield effect


@dataclass(frozen=True)
class Survived:
    """A run that came to its end in spite of crashes."""

    settings: Settings
    theta: np.ndarray
    rows: Rows
    servers: dict[str, ParameterServer]

    def expected(self, seed):
        """The counts that the parameters must have."""
        if self.settings.asynchrony.push_every == 1:
            return TOY.counts(self.settings)
        return live(seed, most=0).theta


def keep_all(checkpoint, servers):
    """The checkpoint as it was saved: no mutant."""
    return checkpoint


def live(seed, hurt=keep_all, most=5):
    """Run to the end with up to ``most`` crashes; a mutant ``hurt`` changes what is restored."""
    draw = np.random.default_rng(seed)
    s = draw_settings(draw)
    every = int(draw.integers(5, 40))
    crashes = min(most, int(draw.integers(1, 6)))
    shards = TOY.shards(s)
    clock = Cost(load_machine("paper"), seed)
    services = shards.servers(s)
    at = Checkpoint()
    rows = Rows()
    executor = Local(clock, s.asynchrony.channel)
    while not has_ended(at):
        life = Life(int(draw.integers(1, 150)) if crashes else 0)
        processes = TOY.processes(s, shards, at.states)
        mortal = {name: fragile(process, life) for name, process in processes.items()}
        new = Rows(rows)
        try:
            at = advance(executor, mortal, services, new, at, every)
        except Crash:
            crashes -= 1
            at = hurt(unpack(pack(at)), services)
            services = shards.servers(s)
            at.restore(services)
        else:
            rows = new
    return Survived(s, shards.collect(services), rows, services)


def faults(seed, hurt=keep_all):
    """Descriptions of what is wrong with a run; none if all is well."""
    run = live(seed, hurt)
    want = run.expected(seed)
    pushes = of_kind(run.rows, "push")
    visits = run.settings.batches.epochs * len(run.theta)

    found = []
    for i in np.flatnonzero(run.theta != want):
        found.append(f"frame {i} counts {run.theta[i]} times, not {want[i]}")
    for name, server in run.servers.items():
        if server.frames != visits:
            found.append(f"{name} visited {server.frames} frames")
    for row in pushes:
        if row["status"] not in ("applied", "rejected"):
            found.append(f"{row['status']}: {row}")
    if len(pushes) != len(run.servers["server 0"].ledger):
        found.append("rows and server disagree")
    return found


@pytest.mark.slow
def test_killed_anywhere_every_frame_counts_once():
    """The ledger is exact after kills at every kind of effect, on machines of every kind."""
    FIRED.clear()
    for seed in range(SEEDS):
        assert faults(seed) == [], f"repeat with faults({seed})"
    effects = ("Work", "Ask", "All", "Put", "Take", "Emit", "Now", "Rest")
    assert {f"killed at {effect}" for effect in effects} <= set(FIRED)
    assert sum(FIRED.values()) > SEEDS


def servers_outlive(checkpoint, services):
    """Only replicas and decoders go back to the checkpoint; the servers were not lost with them."""
    alive = {name: server.state() for name, server in services.items()}
    return replace(checkpoint, servers=alive)


@pytest.mark.slow
def test_a_server_that_outlives_its_replicas_counts_nothing_twice():
    """Replicas that went back send items again that the ledger knows: the parameters stay exact."""
    for seed in range(SEEDS):
        run = live(seed, careful(servers_outlive))
        np.testing.assert_array_equal(run.theta, run.expected(seed), err_msg=f"seed {seed}")


def careful(hurt: Callable) -> Callable:
    """``hurt`` only where shards need not agree.

    Where they must, a push may be half done among them, and all shards must go back together.
    """

    def hurt_if_alone(checkpoint, services):
        agree = any(
            server.early
            or server.settings.asynchrony.staleness_bound
            or server.settings.asynchrony.consistent_fetch
            for server in services.values()
        )
        return checkpoint if agree else hurt(checkpoint, services)

    return hurt_if_alone


# --- mutants


def forgets_settled_items(checkpoint, services):
    """The servers outlive the replicas, but with empty ledgers."""
    later = servers_outlive(checkpoint, services)
    states = {
        name: replace(state, settled=Ledger().state()) for name, state in later.servers.items()
    }
    return replace(later, servers=states)


def loses_waiting_items(checkpoint, services):
    """The channels are empty."""
    return replace(checkpoint, channels={})


def loses_slots(checkpoint, services):
    """The replicas' slots are empty."""

    def empty_slots(state):
        return replace(state, source=SourceState(state.source.step, credit=state.source.credit))

    return change_replicas(checkpoint, empty_slots)


def loses_batches_not_pushed(checkpoint, services):
    """The replicas forget their gradients since the last push."""
    return change_replicas(checkpoint, lambda state: replace(state, batches=(), total=None))


def change_replicas(checkpoint, change):
    """The checkpoint with the states of its replicas changed."""
    states = {
        name: change(state) if name.startswith("replica") else state
        for name, state in checkpoint.states.items()
    }
    return replace(checkpoint, states=states)


def decoders_start_over(checkpoint, services):
    """The decoders have no state."""
    states = {n: s for n, s in checkpoint.states.items() if not n.startswith("decoder")}
    return replace(checkpoint, states=states)


def one_shard_is_older(checkpoint, services):
    """The first shard goes back to the start."""
    if not checkpoint.servers:
        return checkpoint
    first = services["server 0"]
    fresh = ParameterServer(np.zeros_like(first.value), first.settings).state()
    return replace(checkpoint, servers={**checkpoint.servers, "server 0": fresh})


@pytest.mark.parametrize(
    "mutant",
    [
        careful(forgets_settled_items),
        loses_waiting_items,
        loses_slots,
        loses_batches_not_pushed,
        decoders_start_over,
        one_shard_is_older,
    ],
    ids=["settled", "channels", "slots", "batches", "decoders", "shard"],
)
def test_mutants_are_caught(mutant):
    """Each weakening of what is saved and restored shows in the ledger within a few seeds."""
    assert any(faults(seed, mutant) for seed in range(SEEDS))
