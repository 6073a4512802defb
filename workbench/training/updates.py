"""How an accepted gradient changes the parameters: the three rules, and what scales the step.

``moved`` does in one pass what numpy would do in three: for millions of numbers the memory decides what a step costs.
It rounds where numpy rounds, so the bits are those of ``theta + rate * step``.
"""

from dataclasses import dataclass

import numba
import numpy as np

from workbench.model.gemm.rounding import INFINITE, MAGNITUDE
from workbench.settings import Settings
from workbench.training.messages import Factored
from workbench.training.rounding import wide

ADAGRAD_FLOOR = 1e-8  # keeps the first step of a parameter finite


@dataclass(frozen=True, eq=False)
class Prepared:
    """New parameters, made while others fetched the old ones."""

    total: np.ndarray | Factored
    version: int  # of the parameters that they were made from
    rate: float
    value: np.ndarray
    good: bool


def direction(
    settings: Settings, gradient: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """What the rate is multiplied with, and the optimizer's new memory; all float32 [parameters of the shard].

    sgd: ``g`` (the paper). momentum: ``m = mu m + g``. adagrad: ``g / (floor + sqrt(sum of g**2))`` (DistBelief: Dean
    et al. 2012, section 4.1).
    """
    if settings.updates.optimizer == "sgd":
        return gradient, None
    if memory is None:
        memory = np.zeros_like(gradient)
    if settings.updates.optimizer == "momentum":
        memory = np.float32(settings.updates.momentum) * memory + gradient
        return memory, memory
    memory = memory + gradient * gradient
    return gradient / (np.sqrt(memory) + np.float32(ADAGRAD_FLOOR)), memory


def plain(settings: Settings) -> bool:
    """Whether an update is rate times gradient and nothing else, so that the gradient is read but once."""
    return settings.updates.optimizer == "sgd" and not settings.asynchrony.delay_compensation


def rate(settings: Settings, version: int, decays: int, staleness: int) -> float:
    """The step size of the update that follows ``version``.

    It rises in a line from a tenth over ``warmup`` updates, is divided by ``decay_factor`` per decay, and with
    ``staleness_step`` by the staleness of the gradient (Zhang et al. 2016, *Staleness-aware Async-SGD*, equation 6).
    """
    step = settings.updates.learning_rate / settings.updates.decay_factor**decays
    if version < settings.updates.warmup:
        step *= 0.1 + 0.9 * version / settings.updates.warmup
    if settings.asynchrony.staleness_step:
        step /= max(1, staleness)
    return step


def compensated(
    gradient: np.ndarray, strength: float, here: np.ndarray, then: np.ndarray
) -> np.ndarray:
    """The gradient that parameters ``here`` would have, guessed from the one at ``then``.

    ``g - lambda g g (here - then)``: Zheng et al. 2017, *DC-ASGD*, equation 10, with the other sign because we go
    uphill.
    """
    return gradient - np.float32(strength) * gradient * gradient * (here - then)


def whole(gradient: np.ndarray | Factored) -> np.ndarray:
    """The gradient as an array, float32 [parameters of the shard]."""
    return wide(gradient) if isinstance(gradient, np.ndarray) else gradient.array()


def scaled(gradient: np.ndarray, by: float) -> np.ndarray:
    """``float32(by) * gradient``; itself if that changes nothing."""
    return gradient if np.float32(by) == 1 else np.float32(by) * gradient


def finite(gradient: np.ndarray | Factored) -> bool:
    """Whether all numbers are finite; one dot product unless that overflows."""
    if not isinstance(gradient, np.ndarray):
        return gradient.finite()
    gradient = wide(gradient)
    return bool(np.isfinite(np.dot(gradient, gradient)) or np.isfinite(gradient).all())


def scale(gradient: np.ndarray | Factored, frames: int, limit: float) -> float:
    """What makes a sum the mean over ``frames``, or shorter if that is longer than ``limit`` (0: no limit)."""
    if not limit:
        return 1.0 / frames
    g = whole(gradient)
    norm = float(np.sqrt(np.dot(g, g)))
    return min(1.0 / frames, limit / norm) if norm else 1.0 / frames


def moved(theta: np.ndarray, rate: float, step: np.ndarray | Factored, out: np.ndarray) -> bool:
    """Write ``theta + float32(rate) * step`` to ``out``, float32 [parameters]; whether all of ``step`` is finite."""
    if not isinstance(step, np.ndarray):
        return step.moved(theta, np.float32(rate), out)
    step = np.ascontiguousarray(wide(step), np.float32)
    return bool(_move(theta, np.float32(rate), step, step.view(np.uint32), out) < INFINITE)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _move(
    theta: np.ndarray, rate: np.float32, step: np.ndarray, bits: np.ndarray, out: np.ndarray
) -> np.uint32:  # pragma: no cover
    top = np.uint32(0)
    for i in range(len(step)):
        top = max(top, bits[i] & MAGNITUDE)
        out[i] = theta[i] + rate * step[i]
    return top
