"""From utterances to batches: subsets of replicas, orders of frames and utterances, slots of decoded utterances."""

from workbench.batches.orders import FrameBatch, FrameOrder, UtteranceOrder
from workbench.batches.slots import Loaded, OuterBatch, Slots
from workbench.batches.subsets import subsets

__all__ = ["FrameBatch", "FrameOrder", "Loaded", "OuterBatch", "Slots", "UtteranceOrder", "subsets"]
