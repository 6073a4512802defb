"""The frames of a split in the memory of a device, so that a batch is sent as numbers of frames.

Before each utterance its first frame is repeated 20 times, behind it its last one 5 times. So every
window is one run of 1040 half-precision numbers, and a batch of windows is one gathering pass.
"""

from dataclasses import dataclass

import numpy as np
import torch

from workbench.corpus.frames.store import UNALIGNED, FrameStore
from workbench.corpus.frames.window import LEFT, MEL, RIGHT, WINDOW
from workbench.model.torch_vector import tensor

PADDING = LEFT + RIGHT  # frames that are repeated for each utterance
TARGET_BYTES = 8  # int64, as torch wants indices
FRAME_BYTES = 2 * MEL + TARGET_BYTES
CHUNK = 1 << 20  # frames that are copied at a time, more if an utterance has more


@dataclass(frozen=True, eq=False)
class DeviceFrames:
    """All frames of a store on one device.

    ``offsets`` int64 [utterances + 1], as in the store, on the host. ``runs`` float16 [frames +
    padding, 1040], a view in which rows overlap: the window that begins at each frame.
    ``alignment`` int64 [frames + padding], at the places of the windows' beginnings; None: the
    store is not aligned.
    """

    offsets: np.ndarray
    runs: torch.Tensor
    alignment: torch.Tensor | None

    @classmethod
    def of(cls, store: FrameStore, device: torch.device) -> "DeviceFrames | None":
        """Copy the frames of ``store`` to ``device``; None if a number in them is not finite.

        The store names such a frame when a batch asks for it, and a device does not.
        """
        offsets = np.asarray(store.offsets)
        padded = len(store) * PADDING + store.frames
        features = torch.empty(padded, MEL, dtype=torch.float16, device=device)
        alignment = None
        if store.alignment is not None:
            alignment = torch.full((padded,), UNALIGNED, dtype=torch.int64, device=device)

        for block in store.blocks(range(len(store)), CHUNK):
            first, last = block[0], block[-1] + 1
            sources = _padded_sources(offsets, first, last)
            begin = int(offsets[first]) + first * PADDING
            here = slice(begin, begin + len(sources))
            features[here] = torch.from_numpy(store.features[sources]).to(device)
            if alignment is not None and store.alignment is not None:
                targets = _targets_at_places(store.alignment, offsets, first, last)
                alignment[here] = torch.from_numpy(targets).to(device)

        if not bool(torch.isfinite(features).all()):
            return None
        rows = max(0, padded - PADDING)
        return cls(offsets, features.as_strided((rows, WINDOW), (MEL, 1)), alignment)

    @staticmethod
    def bytes_of(store: FrameStore) -> int:
        """Return how many bytes the frames of ``store`` take on a device."""
        return FRAME_BYTES * (store.frames + PADDING * len(store))

    def places(self, positions: np.ndarray) -> torch.Tensor:
        """Return where the windows at ``positions`` int64 [n] of the store begin, on the device.

        Raises IndexError for a frame that does not exist.
        """
        positions = np.asarray(positions, np.int64)
        if len(positions) and not 0 <= positions.min() <= positions.max() < self.offsets[-1]:
            raise IndexError(f"frames must lie in 0 .. {self.offsets[-1] - 1}")
        utterance = np.searchsorted(self.offsets, positions, side="right") - 1
        return tensor(positions + PADDING * utterance).to(self.runs.device)

    def windows(self, places: torch.Tensor) -> torch.Tensor:
        """Return the windows float16 [n, 1040] that begin at ``places``."""
        return self.runs.index_select(0, places)

    def targets(self, places: torch.Tensor) -> torch.Tensor:
        """Return the tied states int64 [n] to which these frames are aligned."""
        assert self.alignment is not None
        return self.alignment.index_select(0, places)


def _padded_sources(offsets: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return which frame of the store lies at each padded place of these utterances, int64."""
    pieces = []
    for u in range(first, last):
        begin = int(offsets[u])
        end = int(offsets[u + 1])
        places = np.arange(begin - LEFT, end + RIGHT)
        pieces.append(np.clip(places, begin, end - 1))
    return np.concatenate(pieces)


def _targets_at_places(
    alignment: np.ndarray, offsets: np.ndarray, first: int, last: int
) -> np.ndarray:
    """Return the alignment at the places where windows begin, int64; UNALIGNED between them."""
    frames = int(offsets[last] - offsets[first])
    targets = np.full(frames + PADDING * (last - first), UNALIGNED, np.int64)
    utterance = np.repeat(np.arange(last - first), np.diff(offsets[first : last + 1]))
    targets[np.arange(frames) + PADDING * utterance] = alignment[offsets[first] : offsets[last]]
    return targets
