"""A problem whose parameters count how often each frame was applied.

The gradient of a frame is 1 in the frame's own place, and the step size undoes the mean. So the
parameters are a ledger of the frames.
"""

import numpy as np
from toy import Toy, pretended_decoding

from workbench.settings import Settings
from workbench.storage.rows import Measurement
from workbench.training import Gradient


class Counting(Toy):
    """Parameters are counts of frames; the pretended decoder keeps two frames of three."""

    def __init__(self, utterances: int, lengths: tuple[int, int]):
        super().__init__(utterances=utterances, lengths=lengths)
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
        return pretended_decoding(
            utterance,
            frames=len(frames),
            kept=kept,
            indptr=np.arange(len(kept) + 1, dtype=np.int64),
            states=np.zeros(len(kept), np.int32),
            values=np.ones(len(kept), np.float32),
            numerator_states=np.zeros(len(frames), np.int32),
        )

    def evaluate(self, theta):
        return Measurement(criterion=0.0)

    def counts(self, s: Settings) -> np.ndarray:
        """What the parameters must be in the end."""
        kept = np.arange(len(self.theta)) % 3 > 0 if s.sequence else np.ones(len(self.theta), bool)
        return kept * np.float32(s.batches.epochs)
