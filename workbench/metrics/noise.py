"""How far a way to mix frames makes gradients quiet: over one update, and over many.

Frames of one utterance resemble each other, so gradients of frames that follow each other err in
the same direction. On-the-fly shuffling parts neighbours by one update of their replica, not by a
whole epoch as full shuffling does. So what it makes quiet is each update; a model moves by the sum
of many.
"""

from dataclasses import dataclass

import numpy as np

from workbench.batches.orders import FrameOrder
from workbench.batches.subsets import subsets
from workbench.progress import counted

FEWEST_WINDOWS = 10
"""Windows side by side, without which their variance is not told."""

WINDOWS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 3000)
EPOCHS = 4.0
LEFT_OUT = 1.0
"""Epochs in which all slots begin with their first frames, so that batches are of silence."""


@dataclass(frozen=True)
class Mixing:
    """A way to mix frames: how those of a replica meet in a batch, and how many replicas push."""

    shuffling: str
    replicas: int

    @property
    def label(self) -> str:
        """Return it in words, e.g. ``on-the-fly, 10 replicas``."""
        return f"{self.shuffling}, {counted(self.replicas, 'replica')}"


@dataclass(frozen=True)
class NoiseCurve:
    """The variance of the mean gradient of ``windows[i]`` successive updates, ``ratios[i]``.

    Each is a multiple of what as many independent frames would have.
    """

    mixing: Mixing
    windows: tuple[int, ...]
    ratios: tuple[float, ...]


def noise_curve(
    gradients: np.ndarray, offsets: np.ndarray, mixing: Mixing, batch: int, seed: int
) -> NoiseCurve:
    """Return how noisy the updates of a fixed model are, if frames are mixed in a way.

    ``gradients`` is float [frames, directions], those of all frames at that model; ``offsets``,
    int64 [utterances + 1], are the first frames of utterances. Replicas push in turn, batches of
    ``batch`` frames. Without windows if there is too little speech to tell.
    """
    if mixing.replicas >= len(offsets):
        return NoiseCurve(mixing, (), ())
    centred = gradients - gradients.mean(axis=0)
    independent = np.mean(centred**2, axis=0) / batch
    updates = update_gradients(centred, offsets, mixing, batch, seed)

    windows = tuple(w for w in WINDOWS if len(updates) >= w * FEWEST_WINDOWS)
    ratios = [np.mean(window_variance(updates, w) / independent * w) for w in windows]
    return NoiseCurve(mixing, windows, tuple(float(ratio) for ratio in ratios))


def update_gradients(
    gradients: np.ndarray, offsets: np.ndarray, mixing: Mixing, batch: int, seed: int
) -> np.ndarray:
    """Return the mean gradient of each full batch in the order of updates, [updates, directions].

    The first epoch is left out.
    """
    of_replicas = []
    for replica, utterances in enumerate(subsets(len(offsets) - 1, mixing.replicas, seed)):
        order = FrameOrder(mixing.shuffling, offsets, utterances, batch, EPOCHS, seed, replica)
        left_out = LEFT_OUT * np.diff(offsets)[utterances].sum()
        first = int(left_out / batch)

        means = [gradients[at].mean(axis=0) for at in order.batches(first) if len(at) == batch]
        of_replicas.append(np.array(means).reshape(-1, gradients.shape[1]))

    in_step = min(len(means) for means in of_replicas)
    turns = np.stack([means[:in_step] for means in of_replicas], axis=1)
    return turns.reshape(-1, gradients.shape[1])


def window_variance(updates: np.ndarray, window: int) -> np.ndarray:
    """Return the mean square, [directions], of the mean of each ``window`` successive updates."""
    count = len(updates) // window
    means = updates[: count * window].reshape(count, window, -1).mean(axis=1)
    return np.mean(means**2, axis=0)
