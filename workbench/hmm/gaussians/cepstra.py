"""Observations of the Gaussians: cepstra and their slopes.

They are nearly uncorrelated, as diagonal covariances assume, which log-mel energies are not.
"""

from functools import cache

import numpy as np
from scipy.fft import dct

from workbench.corpus.frames.store import FrameStore

CEPSTRA = 13
SIZE = 3 * CEPSTRA
REACH = 2  # frames on either side of a slope


def cepstra(features: np.ndarray) -> np.ndarray:
    """Return cepstra 0..12 with first and second slopes: float32 [frames, 39].

    ``features``: normalised log-mel energies [frames, mel], whose mean over an utterance or speaker
    is 0. Their scale is left as it is: it makes the bands alike, which does alignments no harm.
    Slopes are regressions over five frames, with the edge frames repeated.
    """
    static = np.asarray(features, np.float32) @ _transform(features.shape[1])
    first = _slope(static)
    return np.concatenate([static, first, _slope(first)], axis=1)


def observations(store: FrameStore, utterance: int) -> np.ndarray:
    """Return the cepstra of an utterance: float32 [frames, 39].

    They are computed each time, which is faster than reading them from a disk.
    """
    first, end = store.span(utterance)
    return cepstra(store.features[first:end])


@cache
def _transform(mel: int) -> np.ndarray:
    """Return the orthonormal cosine transform (DCT-II) of ``mel`` bands: float32 [mel, 13]."""
    return dct(np.eye(mel), type=2, norm="ortho", axis=1)[:, :CEPSTRA].astype(np.float32)


def _slope(x: np.ndarray) -> np.ndarray:
    """Return the slope of each column of ``x`` [frames, size] over the frames around each frame."""
    before = np.repeat(x[:1], REACH, axis=0)
    after = np.repeat(x[-1:], REACH, axis=0)
    padded = np.concatenate([before, x, after])

    rise = np.zeros_like(x)
    for step in range(1, REACH + 1):
        later = padded[REACH + step :][: len(x)]
        earlier = padded[REACH - step :][: len(x)]
        rise += step * (later - earlier)
    return rise / np.float32(2 * sum(step * step for step in range(1, REACH + 1)))
