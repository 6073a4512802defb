"""Utterances of the tiny task, short enough for all paths to be enumerated."""

from functools import cache

import numpy as np
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from oracles import Paths, every_path, log_softmax, tiny_task

from workbench.hmm.states import SIL
from workbench.sequence.decoded import Decoded
from workbench.sequence.outer_gradient import decode_outer
from workbench.settings import Settings

KAPPA = 0.6
FRAMES = 7
SAID = (2, 1)
EXACT = Settings.of(
    criterion="mmi",
    acoustic_scale=KAPPA,
    rejection=0.0,
    cancellation=0.0,
    beam=100.0,
    lattice_beam=100.0,
    max_active=10**6,
)
SEEDS = st.integers(0, 10**4)
few = hypothesis(max_examples=12, deadline=None)
task = cache(tiny_task)


def random_logits(seed: int, frames: int = FRAMES) -> np.ndarray:
    """Logits of the task, float64 [frames, states]."""
    return np.random.default_rng(seed).normal(0, 1.5, (frames, task().states.count))


def prior() -> np.ndarray:
    """Log priors of the states, float64 [states]."""
    return log_softmax(np.linspace(-1, 1, task().states.count))


def decode(
    logits: np.ndarray,
    settings: Settings = EXACT,
    words: tuple[int, ...] = SAID,
    alignment: np.ndarray | None = None,
    silence: tuple[int, ...] = (SIL,),
) -> Decoded:
    """What a decoder makes of an utterance of ``words`` with these logits."""
    log_p = log_softmax(logits)
    reference = task().reference(words)
    graph = task().denominator
    return decode_outer(log_p, reference, graph, prior(), settings, alignment, silence=silence)


def dense(decoded: Decoded) -> np.ndarray:
    """The outer gradient as float64 [frames, states], zero where no frame is kept."""
    out = np.zeros((decoded.frames, task().states.count))
    rows = np.repeat(decoded.kept, np.diff(decoded.indptr))
    out[rows, decoded.states] = decoded.values
    return out


def paths_of(logits: np.ndarray) -> Paths:
    """Every path of the denominator, with scores in double precision."""
    scores = KAPPA * (log_softmax(logits) - prior())
    return every_path(task().denominator, scores)
