"""How an accepted gradient changes the parameters: the update rules, and the scale of a step.

``add_scaled`` does in one pass what numpy would do in three: for millions of numbers the memory
decides what a step costs. It rounds as numpy does, so the bits are those of ``theta + rate *
step``. Compiled loops are imported when they are first used, so that training can be imported
without numba.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from workbench.settings import Alternatives, Settings, UpdateSettings, UserError
from workbench.settings.alternatives import added_choices
from workbench.system import memory
from workbench.system.unchanging import unchanging
from workbench.system.vectors import DeviceVector, Vector, read_only
from workbench.training.messages import AnyGradient
from workbench.training.rounding import widen

ADAGRAD_FLOOR = 1e-8  # keeps the first step of a parameter finite

LARGEST_CHANGE = 1e6
"""Largest change of a parameter by one update. Parameters that are trained stay below a hundred,
and sums of larger changes would become infinite in the end.
"""


@unchanging(eq=False)
class Step:
    """A change of the parameters, ``rate * direction``, and the memory of the rule after it."""

    direction: AnyGradient  # float32 [parameters of the shard]
    rate: float
    memory: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class PreparedUpdate:
    """New parameters that were computed before the push that leads to them had its turn."""

    gradient: AnyGradient  # of that push
    version: int  # of the parameters that they were made from
    rate: float
    value: Vector
    usable: bool

    def leads_from(self, version: int, step: Step) -> bool:
        """Return whether this is the update by ``step`` of the parameters of ``version``."""
        same = (self.version, self.rate) == (version, step.rate)
        return same and self.gradient is step.direction


def is_plain(settings: Settings) -> bool:
    """Return whether an update is rate times gradient, so that the gradient is read only once."""
    return settings.updates.optimizer == "sgd" and not settings.asynchrony.delay_compensation


def learning_rate(updates: UpdateSettings, version: int, decays: int, halvings: int = 0) -> float:
    """Return the step size of the update that follows ``version``.

    It rises linearly from a tenth of its value over ``warmup`` updates, and is divided by
    ``decay_factor`` once per decay, and by 2 once per return after a divergence.
    """
    rate = updates.learning_rate / updates.decay_factor**decays / 2**halvings
    if version < updates.warmup:
        rate *= 0.1 + 0.9 * version / updates.warmup
    return rate


def sgd(
    updates: UpdateSettings, gradient: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the gradient itself, ``g``, and no memory (the paper)."""
    return gradient, None


def momentum(
    updates: UpdateSettings, gradient: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ``m = mu m + g``, which is also the new memory."""
    before = np.zeros_like(gradient) if memory is None else memory
    after = np.float32(updates.momentum) * before + gradient
    return after, after


def adagrad(
    updates: UpdateSettings, gradient: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ``g / (floor + sqrt(sum of g**2))``, and the sum.

    DistBelief: Dean et al. 2012, section 4.1.
    """
    before = np.zeros_like(gradient) if memory is None else memory
    after = before + gradient * gradient
    return gradient / (np.sqrt(after) + np.float32(ADAGRAD_FLOOR)), after


# The rules by which a gradient becomes a step. Each takes the settings of updates, the mean
# gradient of a push and its own memory (None at first), float32 [parameters of the shard], and
# returns the direction of the step and new memory.
update_rules = Alternatives("optimizer", sgd=sgd, momentum=momentum, adagrad=adagrad)


def follow_rule(
    updates: UpdateSettings, gradient: np.ndarray, memory: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what the chosen rule makes of a gradient: the direction of the step and new memory.

    Raises UserError if the rule returns something else. The compiled addition does not check the
    length of a direction. A rule that a user added cannot write to its arguments: others hold them.
    """
    rule = update_rules[updates.optimizer]
    if updates.optimizer not in added_choices("optimizer"):
        return rule(updates, gradient, memory)

    kept = None if memory is None else read_only(memory)
    made: object = rule(updates, read_only(gradient), kept)
    return checked_step(f"optimizer={updates.optimizer}: the rule", gradient, made)


def checked_step(
    who: str, gradient: np.ndarray, made: object
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return direction and memory that a user's rule has made; UserError if they cannot be used.

    ``who``: the beginning of the message.
    """
    if not isinstance(made, tuple) or len(made) != 2:
        raise UserError(
            f"{who} must return a direction and a memory, as `return direction, None` does"
        )

    direction, after = made
    if not isinstance(direction, np.ndarray) or direction.shape != gradient.shape:
        raise UserError(
            f"{who} must return a direction of the gradient's shape {gradient.shape}, "
            f"not {np.shape(direction)}"
        )
    if direction.dtype.kind not in "fiu":
        raise UserError(f"{who} must return a direction of real numbers, not {direction.dtype}")
    if after is not None and not (isinstance(after, np.ndarray) and after.dtype.kind in "fiubc"):
        kind = f"array of {after.dtype}" if isinstance(after, np.ndarray) else type(after).__name__
        raise UserError(f"{who} must return an array of numbers or None as memory, not {kind}")

    # A rule may well square the gradient. One so large that its squares are infinite comes from
    # parameters that ran away, and the server counts it as it does for the rules of the package.
    with np.errstate(over="ignore"):
        squares = np.dot(gradient, gradient)
        step = direction.astype(np.float32)  # as the server adds it
    if not np.isfinite(squares):
        return direction, after

    for what, numbers in (("direction", step), ("memory", after)):
        if numbers is not None and not np.isfinite(numbers).all():
            raise UserError(f"{who} returned a {what} that is not finite for a finite gradient")
    return direction, after


def compensate(
    gradient: np.ndarray, strength: float, here: np.ndarray, then: np.ndarray
) -> np.ndarray:
    """Return an estimate of the gradient at parameters ``here``, from the gradient at ``then``.

    ``g - lambda g g (here - then)``: Zheng et al. 2017, *DC-ASGD*, equation 10, with the other sign
    because training goes uphill.
    """
    return gradient - np.float32(strength) * gradient * gradient * (here - then)


def as_array(gradient: AnyGradient) -> np.ndarray:
    """Return the gradient as an array, float32 [parameters of the shard]."""
    return widen(gradient) if isinstance(gradient, np.ndarray) else gradient.array()


def multiply(gradient: np.ndarray, factor: float) -> np.ndarray:
    """Return ``float32(factor) * gradient``, or ``gradient`` itself where that changes nothing."""
    return gradient if np.float32(factor) == 1 else np.float32(factor) * gradient


def gradient_norm(gradient: AnyGradient) -> float:
    """Return the Euclidean norm, summed in float64."""
    if isinstance(gradient, DeviceVector):
        return gradient.norm()
    return float(np.sqrt(np.square(as_array(gradient), dtype=np.float64).sum()))


def add_gradients(one: AnyGradient, other: AnyGradient) -> AnyGradient:
    """Return the sum of two gradients; it is made on the device if one of them is there."""
    if isinstance(one, DeviceVector):
        return one.plus(other if isinstance(other, DeviceVector) else as_array(other))
    if isinstance(other, DeviceVector):
        return other.plus(as_array(one))
    return as_array(one) + as_array(other)


def is_finite(gradient: AnyGradient) -> bool:
    """Return whether all numbers are finite; this takes one dot product unless that overflows."""
    if not isinstance(gradient, np.ndarray):
        return gradient.finite()
    values = widen(gradient)
    with np.errstate(over="ignore"):
        squares = np.dot(values, values)
    return bool(np.isfinite(squares) or np.isfinite(values).all())


def mean_scale(gradient: AnyGradient, frames: int, limit: float) -> float:
    """Return the factor that turns a sum into the mean over ``frames``.

    It is smaller where the mean would be longer than ``limit`` (Euclidean norm; 0: no limit).
    """
    if not limit:
        return 1.0 / frames
    if isinstance(gradient, DeviceVector):
        norm = gradient.norm()
    else:
        values = as_array(gradient)
        norm = float(np.sqrt(np.dot(values, values)))
    return min(1.0 / frames, limit / norm) if norm else 1.0 / frames


class Moved(NamedTuple):
    """Parameters after a step, and whether it is one to train with, as `add_scaled` says."""

    value: Vector
    usable: bool


def move(theta: Vector, step: Step) -> Moved:
    """Return ``theta + float32(rate) * direction``, in the memory in which ``theta`` lies."""
    if isinstance(theta, np.ndarray):
        out = memory.floats(len(theta))  # often memory of a version that nobody holds any more
        return Moved(out, add_scaled(theta, step, out))

    limit = largest_direction(np.float32(step.rate))
    if isinstance(step.direction, DeviceVector):
        direction: Vector = step.direction
        usable = step.direction.is_below(limit)
    else:
        direction = as_array(step.direction)
        usable = float(np.abs(direction).max(initial=0.0)) <= limit
    return Moved(theta.moved(step.rate, direction) if usable else theta, usable)


def add_scaled(theta: np.ndarray, step: Step, out: np.ndarray) -> bool:
    """Write ``theta + float32(rate) * direction`` to ``out``.

    Return whether the change is one to train with: finite, and not beyond `LARGEST_CHANGE`.
    ``theta`` and ``out`` are float32 [parameters of the shard].
    """
    rate = np.float32(step.rate)
    limit = largest_direction(rate)
    if not isinstance(step.direction, Vector):
        step.direction.write_moved(theta, rate, out)
        return step.direction.is_below(limit)

    values = np.ascontiguousarray(as_array(step.direction), np.float32)
    return _compiled_pass()(theta, rate, values, out) <= limit


def largest_direction(rate: np.float32) -> float:
    """Return the largest number of a direction by which ``rate`` may change a parameter."""
    factor = abs(float(rate))
    return LARGEST_CHANGE / factor if factor else float(np.finfo(np.float32).max)


@cache
def _compiled_pass() -> Callable[[np.ndarray, np.float32, np.ndarray, np.ndarray], float]:
    from workbench.model import vectors

    return vectors.add_scaled
