"""Random schedules of faults leave every frame counted once, and every weakened protocol is caught.

The suite runs the first ones; `tests/faults/seeded_schedules.py` as many as one likes.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from schedules import KINDS, Schedule, run_schedule

from workbench.engine import Held
from workbench.engine.channels import Channel
from workbench.training import Checkpoint, ParameterServer, PushStatus
from workbench.training.decoder import Fetching
from workbench.training.ledger import Ledger
from workbench.training.replica import Replica
from workbench.training.sources import FrameSource, OuterSource, SourceState

SEEDS = 1000
FOUND = [5324]  # seeds that have found faults of the protocol, which are mended
MUTANT_SEEDS = 1000  # within which a mutant must be caught


@pytest.mark.slow
def test_no_schedule_violates_the_protocol():
    """Every kind of fault takes place, and after all of them every item has counted once."""
    fired = Counter()
    for seed in range(SEEDS):
        assert run_schedule(seed, fired) == []
    assert set(fired) == set(KINDS)
    assert min(fired.values()) > SEEDS / 20, fired


@pytest.mark.parametrize("seed", FOUND)
def test_what_was_found_stays_mended(seed):
    """A schedule that once did not end, or counted an item twice, leaves nothing to object to."""
    assert run_schedule(seed) == []


def test_a_schedule_is_the_same_again():
    """A seed is enough to repeat a schedule with all of its faults."""

    def fired_in(seeds: range) -> Counter:
        fired = Counter()
        for seed in seeds:
            run_schedule(seed, fired)
        return fired

    assert fired_in(range(20)) == fired_in(range(20))


# --- mutants: each function takes what it replaces, and returns the weaker one


def knows_no_item(original):
    """The ledger calls no item settled."""
    return lambda ledger, item: False


def takes_subsets_for_one(original):
    """The ledger knows items by their step, whichever replica they are of."""
    return lambda ledger, item: any(item.step < step for step in ledger.below.values())


def saves_no_ledger(original):
    """What was settled is not in a checkpoint."""
    return lambda server: replace(original(server), settled=Ledger().state())


def saves_no_frames(original):
    """The frames that were visited are not in a checkpoint."""
    return lambda server: replace(original(server), frames=0)


def saves_other_parameters(original):
    """The parameters in a checkpoint are not of the moment of its ledger."""
    return lambda server: replace(original(server), value=np.zeros_like(server.value))


def applies_any_age(original):
    """No push is too stale."""
    return lambda server, staleness: False


def follows_at_once(original):
    """A shard does not wait for the pushes that come before in the order of the first one."""

    def follow(server, push, order):
        if push.item in server.ledger:
            return PushStatus.DUPLICATE
        step = server.make_step(push.gradient, push.scale, push.replica, 0)
        server.apply(step, push.replica, agreed=True)
        server.settle(push)
        return PushStatus.APPLIED

    return follow


def follows_without_ledger(original):
    """A shard that follows applies an item again that it has settled."""

    def follow(server, push, order):
        if push.item in server.ledger:
            step = server.make_step(push.gradient, push.scale, push.replica, 0)
            server.apply(step, push.replica, agreed=True)
            return PushStatus.DUPLICATE
        return original(server, push, order)

    return follow


def writes_what_it_has_published(original):
    """An update changes the array that others have fetched."""

    def apply(server, step, replica, agreed=False):
        server.value[:] = server.value_after(step)
        server.snapshot = None
        server.version += 1
        return True

    return apply


def drops_what_waits(original):
    """When the run rests, a channel drops the items beyond its capacity."""

    def rest(channel):
        channel.putters.clear()
        return original(channel)

    return rest


def saves_no_items(original):
    """The contents of channels are not in a checkpoint."""
    return lambda channel: Held((), channel.closed)


def saves_no_pushes(original):
    """A replica that is resumed counts its pushes from 0."""
    return lambda replica: replace(original(replica), pushes=0)


def saves_no_batches(original):
    """A source that is resumed begins with its first batch."""
    return lambda source: SourceState(0, credit=source.visited)


def saves_no_slots(original):
    """The utterances in the slots are not in a checkpoint."""
    return lambda source: replace(original(source), loaded=())


def skips_an_utterance(original):
    """A decoder that is resumed leaves one utterance out."""
    return lambda fetching, position: original(fetching, position + 1)


def restores_servers_only(original):
    """The parameters go back to the checkpoint, and the components begin again."""

    def restore(checkpoint, services):
        original(checkpoint, services)
        checkpoint.states.clear()
        checkpoint.channels.clear()

    return restore


def restores_components_only(original):
    """The components go back to the checkpoint, and the parameters begin again."""
    return lambda checkpoint, services: None


def keeps_rows(original):
    """Rows that were written after the checkpoint stay."""

    def go_back(schedule, shards):
        rows = list(schedule.rows)
        at = original(schedule, shards)
        schedule.rows[:] = rows
        return at

    return go_back


@dataclass(frozen=True)
class Mutant:
    """A weaker protocol."""

    weaken: Callable[[Any], Any]
    owner: type
    attribute: str


MUTANTS = [
    Mutant(knows_no_item, Ledger, "__contains__"),
    Mutant(takes_subsets_for_one, Ledger, "__contains__"),
    Mutant(saves_no_ledger, ParameterServer, "state"),
    Mutant(saves_no_frames, ParameterServer, "state"),
    Mutant(saves_other_parameters, ParameterServer, "state"),
    Mutant(applies_any_age, ParameterServer, "too_stale"),
    Mutant(follows_at_once, ParameterServer, "follow"),
    Mutant(follows_without_ledger, ParameterServer, "follow"),
    Mutant(writes_what_it_has_published, ParameterServer, "apply"),
    Mutant(drops_what_waits, Channel, "rest"),
    Mutant(saves_no_items, Channel, "held"),
    Mutant(saves_no_pushes, Replica, "state"),
    Mutant(saves_no_batches, FrameSource, "state"),
    Mutant(saves_no_slots, OuterSource, "state"),
    Mutant(skips_an_utterance, Fetching, "state"),
    Mutant(restores_servers_only, Checkpoint, "restore"),
    Mutant(restores_components_only, Checkpoint, "restore"),
    Mutant(keeps_rows, Schedule, "restore"),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.weaken.__name__)
def test_a_weaker_protocol_is_caught(mutant, monkeypatch):
    """Each weakening shows within some seeds that the protocol itself survives."""
    weaker = mutant.weaken(getattr(mutant.owner, mutant.attribute))
    monkeypatch.setattr(mutant.owner, mutant.attribute, weaker)
    assert any(run_schedule(seed) for seed in range(MUTANT_SEEDS))
