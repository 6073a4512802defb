"""Random streams: every one is made from (seed, names)."""

import hashlib
import json

import numpy as np


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """The random stream of (seed, names): adding another name changes no stream that exists."""
    words = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()[:16]
    return np.random.default_rng(np.frombuffer(words, np.uint32))
