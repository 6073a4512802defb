"""What the Gaussians of the bootstrap see: cepstra and their slopes, nearly uncorrelated, unlike log-mel energies."""

from functools import cache

import numpy as np

from workbench.corpus.frames.store import FrameStore

CEPSTRA = 13
SIZE = 3 * CEPSTRA
REACH = 2  # frames on either side of a slope


def cepstra(features: np.ndarray) -> np.ndarray:
    """Cepstra 0..12 with first and second slopes, float32 [frames, 39], of normalised log-mel [frames, mel].

    The mean is that of the features (0 over an utterance or speaker). Their scale is left as it is stored: it makes
    the bands alike, which costs alignments nothing. Slopes are regressions over five frames, the edges repeated.
    """
    static = np.asarray(features, np.float32) @ _transform(features.shape[1])
    first = _slope(static)
    return np.concatenate([static, first, _slope(first)], axis=1)


def observations(store: FrameStore, utterance: int) -> np.ndarray:
    """Cepstra of an utterance: float32 [frames, 39]; made anew each time, which takes less than reading them would."""
    first, last = store.span(utterance)
    return cepstra(store.features[first:last])


@cache
def _transform(mel: int) -> np.ndarray:
    """The orthonormal cosine transform (DCT-II): float32 [mel, 13]."""
    angle = np.pi / mel * np.outer(np.arange(mel) + 0.5, np.arange(CEPSTRA))
    scale = np.where(np.arange(CEPSTRA) == 0, np.sqrt(1 / mel), np.sqrt(2 / mel))
    return (np.cos(angle) * scale).astype(np.float32)


def _slope(x: np.ndarray) -> np.ndarray:
    padded = np.concatenate([np.repeat(x[:1], REACH, axis=0), x, np.repeat(x[-1:], REACH, axis=0)])
    steps = range(1, REACH + 1)
    rise = sum(k * (padded[REACH + k :][: len(x)] - padded[REACH - k :][: len(x)]) for k in steps)
    return rise / np.float32(2 * sum(k * k for k in steps))
