"""What is said about slots where utterances are few, against batches as they are."""

import numpy as np
import pytest

from workbench.batches import FrameOrder, slot_sentences
from workbench.settings import Settings

SLOTS = 32


def batches_of(utterances: int, epochs: float) -> list[np.ndarray]:
    """All batches of one replica over utterances of 20 frames and more, 240 on average."""
    draw = np.random.default_rng(1)
    lengths = np.maximum(20, draw.gamma(6, 40, utterances)).astype(int)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    order = FrameOrder("on-the-fly", offsets, np.arange(utterances), SLOTS, epochs, 0)
    return list(order.batches())


def said_of(utterances: int, **changes) -> str:
    """All that is said about so many utterances."""
    return " ".join(slot_sentences(Settings.of(batch=SLOTS, **changes), utterances))


@pytest.mark.parametrize("utterances, epochs", [(20, 1), (64, 1), (64, 4), (100, 1), (640, 1)])
def test_many_updates_per_frame_are_said(utterances, epochs):
    """It is said just where slots that empty make many more batches than the frames fill."""
    batches = batches_of(utterances, epochs)
    full = sum(len(batch) for batch in batches) / SLOTS
    more = len(batches) / full
    assert more > 1.25 or more < 1.15  # no case lies between
    said = said_of(utterances, epochs=float(epochs))
    assert ("more updates per frame" in said) == (more > 1.25)


@pytest.mark.parametrize("utterances", [7, 31, 32, 200])
def test_an_utterance_in_several_slots_is_said(utterances):
    """With no more utterances than slots a batch holds several frames of one utterance."""
    batches = batches_of(utterances, 20.0)
    draw = np.random.default_rng(1)
    lengths = np.maximum(20, draw.gamma(6, 40, utterances)).astype(int)
    owners = np.repeat(np.arange(utterances), lengths)
    doubled = np.mean([1 - len(np.unique(owners[batch])) / len(batch) for batch in batches])
    said = said_of(utterances, epochs=20.0)
    assert ("sits in several of them" in said) == (doubled > 0.15)


def test_replicas_share_the_utterances():
    """The slots of each replica are filled from its own subset."""
    assert said_of(370, epochs=20.0) == ""
    assert "has 7 utterances for 32 slots" in said_of(370, epochs=20.0, replicas=50)


@pytest.mark.parametrize(
    "changes, speaks",
    [
        (dict(shuffling="none"), False),
        (dict(shuffling="full"), False),
        (dict(criterion="mmi"), True),
        (dict(criterion="mmi", shuffling="none"), False),
    ],
)
def test_only_slots_are_spoken_of(changes, speaks):
    """Without slots nothing is said."""
    assert bool(said_of(7, **changes)) == speaks
