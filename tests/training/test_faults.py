"""Runs that are killed anywhere, again and again: every frame of the corpus still counts exactly `epochs` times.

The gradient of a frame is one in a place of its own, and the step size undoes the mean, so the parameters are a
ledger: they tell for every frame how often it was applied, as whole numbers, exactly. Where several batches make one
push the last push weighs its batches otherwise, and a run that was never killed is the measure. Whatever weakens the
protocol shows; the mutants at the end do, one by one, and each must be caught.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from toy import Rows, Toy, of_kind, settings

from workbench.engine import Cost, Local, load_machine
from workbench.sequence.decoded import Decoded
from workbench.storage.rows import Measurement
from workbench.training import Checkpoint, Gradient, ParameterServer, SourceState, pack, unpack
from workbench.training.ledger import Ledger

SEEDS = 60
FIRED: Counter = Counter()


class Crash(Exception):
    """Everything is gone but what was saved."""


class Counting(Toy):
    """Parameters are counts of frames; the pretended decoder keeps two frames of three."""

    def __init__(self):
        super().__init__(utterances=15, lengths=(3, 8))
        self.theta = np.zeros(self.offsets[-1], np.float32)

    def gradient(self, theta, batch):
        positions = getattr(batch, "positions", None)
        if positions is None:
            positions = self.offsets[batch.utterance] + batch.frame
        g = np.zeros(len(self.theta), np.float32)
        np.add.at(g, positions, 1)
        return Gradient(g, len(positions))

    def decode(self, theta, utterance):
        frames = np.arange(self.lengths[utterance])
        kept = frames[(self.offsets[utterance] + frames) % 3 > 0].astype(np.int32)
        ones = np.ones(len(kept), np.float32)
        return Decoded(
            utterance,
            len(frames),
            kept,
            np.arange(len(kept) + 1, dtype=np.int64),
            np.zeros(len(kept), np.int32),
            ones,
            0.0,
            -1.0,
            None,
            0,
            len(frames) - len(kept),
            (),
            (),
            np.zeros(len(frames), np.int32),
            -1.0,
            0.0,
            1.0,
        )

    def evaluate(self, theta):
        return Measurement(criterion=0.0)

    def counts(self, s):
        """What the parameters must be in the end."""
        kept = np.arange(len(self.theta)) % 3 > 0 if s.sequence else np.ones(len(self.theta), bool)
        return kept * np.float32(s.batches.epochs)


TOY = Counting()


def draw_settings(draw):
    """Any machine whose arithmetic stays whole: the frames of a push are a power of two."""
    batch, push_every = int(2 ** draw.integers(0, 4)), int(draw.choice([1, 1, 2]))
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


def fragile(process, life):
    """The process, until its world ends: ``life[0]`` effects from now, whoever asks for them."""
    reply = None
    while True:
        try:
            effect = process.send(reply)
        except StopIteration as end:
            return end.value
        life[0] -= 1
        if life[0] == 0:
            FIRED[f"killed at {type(effect).__name__}"] += 1
            raise Crash
        reply = yield effect


def live(seed, hurt=lambda checkpoint, servers: checkpoint, most=5):
    """A run with up to ``most`` crashes: (settings, parameters, rows, servers); ``hurt`` is what a mutant does."""
    draw = np.random.default_rng(seed)
    s, every = draw_settings(draw), int(draw.integers(5, 40))
    shards, clock = TOY.shards(s), Cost(load_machine("paper"), seed)
    services, at, rows, crashes = (
        shards.servers(s),
        Checkpoint(),
        Rows(),
        min(most, int(draw.integers(1, 6))),
    )
    while not (at.states and all(state.finished for state in at.states.values())):
        due = (at.number + 1) * every
        life = [int(draw.integers(1, 150)) if crashes else 0]
        processes = {n: fragile(p, life) for n, p in TOY.processes(s, shards, at.states).items()}
        new = Rows(rows)
        try:
            out = Local(clock, s.asynchrony.channel).run(
                processes,
                services,
                new.emit,
                lambda due=due, services=services: services["server 0"].frames >= due,
                at.channels,
                at.ticks,
            )
        except Crash:
            crashes -= 1
            saved = hurt(unpack(pack(at)), services)
            services = shards.servers(s)
            saved.restore(services)
            at = saved
            continue
        rows, number = new, at.number + (services["server 0"].frames >= due)
        at = unpack(
            pack(Checkpoint.of(number, out.returned, out.channels, out.ticks, services, {}))
        )
    return s, shards.collect(services), rows, services


def wrong(seed, hurt=lambda checkpoint, servers: checkpoint):
    """What the ledger says against a run: nothing if all is well."""
    s, theta, rows, services = live(seed, hurt)
    want, pushes = (
        TOY.counts(s) if s.asynchrony.push_every == 1 else live(seed, most=0)[1],
        of_kind(rows, "push"),
    )
    return [
        *(
            f"frame {i} counts {theta[i]} times, not {want[i]}"
            for i in np.flatnonzero(theta != want)
        ),
        *(
            f"{name} visited {v.frames} frames"
            for name, v in services.items()
            if v.frames != s.batches.epochs * len(theta)
        ),
        *(f"{r['status']}: {r}" for r in pushes if r["status"] not in ("applied", "rejected")),
        *(["rows and server disagree"] if len(pushes) != len(services["server 0"].ledger) else []),
    ]


def test_killed_anywhere_every_frame_counts_once():
    """Kills at every kind of effect, in machines of every kind, and the ledger is exact."""
    FIRED.clear()
    failures = {seed: found for seed in range(SEEDS) if (found := wrong(seed))}
    assert not failures, f"replay with wrong({min(failures)}): {failures[min(failures)][:3]}"
    kinds = {
        f"killed at {kind}" for kind in ("Work", "Ask", "All", "Put", "Take", "Emit", "Now", "Rest")
    }
    assert kinds <= set(FIRED) and sum(FIRED.values()) > SEEDS, FIRED


def servers_outlive(checkpoint, services):
    """Only replicas and decoders go back to the checkpoint; the servers did not fall with them."""
    alive = {name: server.state() for name, server in services.items()}
    return replace(checkpoint, servers=alive)


def test_a_server_that_outlives_its_replicas_counts_nothing_twice():
    """Replicas that went back send the same items again, which the ledger knows: the parameters stay exact."""
    for seed in range(SEEDS):
        s, theta, _, _ = live(seed, careful(servers_outlive))
        want = TOY.counts(s) if s.asynchrony.push_every == 1 else live(seed, most=0)[1]
        np.testing.assert_array_equal(theta, want, err_msg=f"seed {seed}")


def careful(hurt):
    """``hurt`` where shards need not agree; a push half done among shards that do is a matter of the whole machine."""

    def also(checkpoint, services):
        alone = all(
            not (
                v.early
                or v.settings.asynchrony.staleness_bound
                or v.settings.asynchrony.consistent_fetch
            )
            for v in services.values()
        )
        return hurt(checkpoint, services) if alone else checkpoint

    return also


# --- mutants


def forgets_what_was_settled(checkpoint, services):
    later = servers_outlive(checkpoint, services)
    return replace(
        later, servers={n: replace(s, settled=Ledger().state()) for n, s in later.servers.items()}
    )


def loses_what_waits(checkpoint, services):
    return replace(checkpoint, channels={})


def loses_what_is_in_the_slots(checkpoint, services):
    states = {
        name: replace(state, source=SourceState(state.source.step, credit=state.source.credit))
        if name.startswith("replica")
        else state
        for name, state in checkpoint.states.items()
    }
    return replace(checkpoint, states=states)


def loses_batches_that_were_not_pushed(checkpoint, services):
    states = {
        name: replace(state, batches=(), total=None) if name.startswith("replica") else state
        for name, state in checkpoint.states.items()
    }
    return replace(checkpoint, states=states)


def decoders_begin_anew(checkpoint, services):
    return replace(
        checkpoint,
        states={n: s for n, s in checkpoint.states.items() if not n.startswith("decoder")},
    )


def one_shard_is_older(checkpoint, services):
    first = services["server 0"]
    fresh = (
        {"server 0": ParameterServer(np.zeros_like(first.value), first.settings).state()}
        if checkpoint.servers
        else {}
    )
    return replace(checkpoint, servers=checkpoint.servers | fresh)


@pytest.mark.parametrize(
    "mutant",
    [
        careful(forgets_what_was_settled),
        loses_what_waits,
        loses_what_is_in_the_slots,
        loses_batches_that_were_not_pushed,
        decoders_begin_anew,
        one_shard_is_older,
    ],
    ids=["settled", "channels", "slots", "batches", "decoders", "shard"],
)
def test_mutants_are_caught(mutant):
    """Each weakening of what is saved and restored shows in the ledger within a few seeds."""
    assert any(wrong(seed, mutant) for seed in range(SEEDS))
