"""Sequence criteria on lattices: their values, and their gradients with respect to the acoustic log scores.

Every criterion gives D_t(s) = ∂F/∂(κ log p(s|x_t)), which sums to zero over the states of each frame (for MMI it is
γ_num - γ_den, method.md section 1). The outer gradient κ D_t(s) with its frame selection is made in ``outer``.
"""

import numpy as np

from workbench.sequence.lattice import Lattice
from workbench.sequence.occupancy import (
    Occupancies,
    arc_accuracies,
    arc_occupancies,
    best_arcs,
    by_state,
    occupancies,
    summed,
)

SIL = 0


def mmi(numerator: Lattice, denominator: Lattice) -> tuple[float, Occupancies]:
    """Maximum mutual information: log of the numerator's share of the lattice, and γ_num - γ_den."""
    num, gamma_num = occupancies(numerator)
    den, gamma_den = occupancies(denominator)
    return num - den, difference(gamma_num, gamma_den)


def boosted_mmi(
    numerator: Lattice, denominator: Lattice, boost: float
) -> tuple[float, Occupancies]:
    """MMI with paths made likelier by ``boost`` per wrong frame in the denominator (Povey et al. 2008, boosted MMI).

    A frame is wrong if its phone is not the reference's; silence in the hypothesis counts as right, so that the
    criterion does not teach the model to insert words in pauses.
    """
    num, gamma_num = occupancies(numerator)
    wrong = ~phone_accuracy(numerator, denominator) & (denominator.phone != SIL)
    den, occupancy = arc_occupancies(denominator, boost * wrong)
    return num - den, difference(gamma_num, by_state(denominator, occupancy))


def expected_accuracy(denominator: Lattice, right: np.ndarray) -> tuple[float, Occupancies]:
    """Expected number of right frames of a path, where ``right`` bool [arcs] says which arcs are right, and its
    gradient."""
    _, expected, occupancy, through = arc_accuracies(denominator, right)
    return expected, by_state(denominator, occupancy * (through - expected))


def phone_accuracy(numerator: Lattice, denominator: Lattice) -> np.ndarray:
    """MPE by approximate frame accuracy: arcs whose phone is that of the numerator's best path at the frame. bool
    [arcs]."""
    return denominator.phone == numerator.phone[best_arcs(numerator)][denominator.frame]


def state_accuracy(numerator: Lattice, denominator: Lattice) -> np.ndarray:
    """sMBR: arcs whose tied state is that of the numerator's best path at the frame. bool [arcs].

    All states of silence are one class; otherwise moving through a pause faster is punished like a wrong word.
    """
    reference = best_arcs(numerator)
    same = denominator.state == numerator.state[reference][denominator.frame]
    return same | (phone_accuracy(numerator, denominator) & (denominator.phone == SIL))


def difference(first: Occupancies, second: Occupancies) -> Occupancies:
    """``first`` - ``second``, on the states of either."""
    key = np.concatenate([first.key, second.key])
    return summed(key, np.concatenate([first.values, -second.values]), first.frames)


def overlap(first: Occupancies, second: Occupancies) -> np.ndarray:
    """Σ_s min(first_t(s), second_t(s)): float64 [frames].

    With a hard reference, γ_num(s_ut) = 1, it is γ_den(s_ut), the occupancy by which the paper rejects frames.
    """
    _, i, j = np.intersect1d(first.key, second.key, assume_unique=True, return_indices=True)
    return np.bincount(first.frame[i], np.minimum(first.values[i], second.values[j]), first.frames)


def largest(rows: Occupancies) -> np.ndarray:
    """max_s |rows_t(s)|: float64 [frames]."""
    out = np.zeros(rows.frames)
    np.maximum.at(out, rows.frame, np.abs(rows.values))
    return out
