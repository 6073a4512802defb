"""From utterances to batches: subsets, orders of frames and utterances, slots of utterances."""

from workbench.batches.orders import (
    FrameBatch,
    FrameOrder,
    UtteranceOrder,
    check_entry,
    shufflings,
)
from workbench.batches.slots import Loaded, OuterBatch, Piece, Slots
from workbench.batches.subsets import subsets
from workbench.batches.turnover import slot_sentences

__all__ = [
    "FrameBatch",
    "FrameOrder",
    "Loaded",
    "OuterBatch",
    "Piece",
    "Slots",
    "UtteranceOrder",
    "check_entry",
    "shufflings",
    "slot_sentences",
    "subsets",
]
