"""Sequence criteria on lattices: their values and their gradients with respect to the acoustic log
scores.

Every gradient is D_t(s) = ∂F/∂(κ log p(s|x_t)), which sums to zero over the states of each frame.
For MMI it is γ_num - γ_den (docs/method.md, section 1). `outer_gradient` makes κ D_t(s) of it and
selects the frames.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from workbench.hmm.graphs.graph import Graph
from workbench.hmm.states import SIL
from workbench.sequence.lattice import Lattice
from workbench.sequence.occupancy import (
    Occupancies,
    arc_accuracies,
    arc_occupancies,
    best_arcs,
    by_state,
    sum_by_key,
)
from workbench.settings import Alternatives, CriterionSettings, UserError
from workbench.settings.alternatives import added_choices


def boosted_occupancies(
    numerator: Lattice, denominator: Lattice, boost: float
) -> tuple[float, Occupancies]:
    """Return log total and occupancies of boosted MMI's denominator: its paths are likelier by
    ``boost`` for each wrong frame.

    A frame is wrong if its phone is not the reference's. Silence in the hypothesis counts as right,
    and so does noise (`join_silence`), so that the criterion does not teach the model to insert
    words in pauses. Source: Povey et al. 2008, *Boosted MMI for model and feature-space
    discriminative training*.
    """
    wrong = ~phone_accuracy(numerator, denominator) & (denominator.phone != SIL)
    total, occupancy = arc_occupancies(denominator, boost * wrong)
    return total, by_state(denominator, occupancy)


def expected_accuracy(denominator: Lattice, right: np.ndarray) -> tuple[float, Occupancies]:
    """Return the expected number of right frames of a path, and its gradient.

    ``right`` bool [arcs]: which arcs are right.
    """
    sums = arc_accuracies(denominator, right)
    return sums.expected, by_state(denominator, sums.occupancy * (sums.through - sums.expected))


def mpe(
    numerator: Lattice, denominator: Lattice, criterion: CriterionSettings
) -> tuple[float, Occupancies]:
    """Return value and gradient of MPE: the expected number of frames with the right phone."""
    right = right_in_lattice(numerator, denominator, criterion, by_state=False)
    return expected_accuracy(denominator, right)


def smbr(
    numerator: Lattice, denominator: Lattice, criterion: CriterionSettings
) -> tuple[float, Occupancies]:
    """Return value and gradient of sMBR: the expected number of frames in the right state."""
    right = right_in_lattice(numerator, denominator, criterion, by_state=True)
    return expected_accuracy(denominator, right)


# Criteria on a pair of lattices beside MMI. Each takes the numerator, the denominator and the
# settings of criteria, and returns its value and its gradient with respect to the scaled acoustic
# scores, which sums to zero in every frame.
lattice_criteria = Alternatives("criterion", mpe=mpe, smbr=smbr)


def lattice_gradient(
    numerator: Lattice, denominator: Lattice, criterion: CriterionSettings
) -> tuple[float, Occupancies]:
    """Return value and gradient of the criterion that was chosen.

    Raises UserError if the function is a user's and returns something else.
    """
    made = lattice_criteria[criterion.name](numerator, denominator, criterion)
    if criterion.name in added_choices("criterion"):
        _check_gradient(criterion.name, denominator, made)
    return made


def _check_gradient(name: str, denominator: Lattice, made: object) -> None:
    who = f"criterion={name}: the function must return"
    if not isinstance(made, tuple) or len(made) != 2:
        raise UserError(f"{who} a value and its gradient, as `return value, rows` does")
    value, rows = made
    if not isinstance(value, float | int | np.floating):
        raise UserError(f"{who} a number as value, not {type(value).__name__}")
    if not isinstance(rows, Occupancies):
        raise UserError(
            f"{who} a gradient of kind Occupancies, as `by_state(denominator, ...)` makes, "
            f"not {type(rows).__name__}"
        )
    if rows.frames != denominator.frames:
        raise UserError(f"{who} a row for each of {denominator.frames} frames, not {rows.frames}")


def join_silence(lattice: Lattice, silence: Sequence[int]) -> Lattice:
    """Return a lattice in which the phones ``silence`` are all SIL, so that they are one class.

    Source: the option ``--one-silence-class`` of Kaldi, where noise is among the silence phones.
    """
    if tuple(silence) == (SIL,):
        return lattice
    return replace(lattice, phone=_join_phones(lattice.phone, silence))


def _join_phones(phone: np.ndarray, silence: Sequence[int]) -> np.ndarray:
    return np.where(np.isin(phone, silence), np.int32(SIL), phone)


def phone_accuracy(numerator: Lattice, denominator: Lattice) -> np.ndarray:
    """Return, for MPE, which arcs have the phone of the numerator's best path at their frame: bool
    [arcs].

    This is the approximate frame accuracy in place of the phone accuracy of Povey 2003.
    """
    reference = numerator.phone[best_arcs(numerator)]
    return denominator.phone == reference[denominator.frame]


class Labels(NamedTuple):
    """Phones and tied states, in which silence and noise are SIL (`join_silence`)."""

    phone: np.ndarray
    state: np.ndarray


def right_in_lattice(
    numerator: Lattice, denominator: Lattice, criterion: CriterionSettings, *, by_state: bool
) -> np.ndarray:
    """Return which arcs of a lattice are right at their frame: bool [arcs]; see `is_right`."""
    said = best_arcs(numerator)[denominator.frame]
    return is_right(
        Labels(denominator.phone, denominator.state),
        Labels(numerator.phone[said], numerator.state[said]),
        criterion,
        by_state=by_state,
    )


def right_in_graph(
    graph: Graph, numerator: Lattice, criterion: CriterionSettings, silence: Sequence[int]
) -> np.ndarray:
    """Return which arcs of a graph are right at which frame: bool [T, arcs]; see `is_right`."""
    joined = join_silence(numerator, silence)
    said = best_arcs(joined)
    return is_right(
        Labels(_join_phones(graph.phone, silence), graph.state),
        Labels(joined.phone[said][:, None], joined.state[said][:, None]),
        criterion,
        by_state=criterion.name == "smbr",
    )


def is_right(
    arcs: Labels, said: Labels, criterion: CriterionSettings, *, by_state: bool
) -> np.ndarray:
    """Return where the labels of arcs count as those that were ``said``; both broadcast.

    By phone for MPE. ``by_state``, for sMBR, all states of silence are one class too; otherwise
    moving through a pause faster is punished like a wrong word. Unless silence is a class
    (`one_silence_class`) it is never right.
    """
    right = arcs.phone == said.phone
    silent = arcs.phone == SIL
    if by_state:
        right = (arcs.state == said.state) | (right & silent)
    return right if criterion.one_silence_class else right & ~silent


def difference(first: Occupancies, second: Occupancies) -> Occupancies:
    """Return ``first`` - ``second``, on the states of either."""
    key = np.concatenate([first.key, second.key])
    values = np.concatenate([first.values, -second.values])
    return sum_by_key(key, values, first.frames)


def with_reference(
    num: float, gamma_num: Occupancies, den: float, gamma_den: Occupancies
) -> tuple[float, Occupancies]:
    """Return log total and occupancies of a lattice with the paths of a reference that it has lost.

    ``num``, ``den``: log totals of the reference and of the lattice, which have no path in common.
    """
    total = float(np.logaddexp(num, den))
    key = np.concatenate([gamma_num.key, gamma_den.key])
    values = np.concatenate(
        [np.exp(num - total) * gamma_num.values, np.exp(den - total) * gamma_den.values]
    )
    return total, sum_by_key(key, values, gamma_den.frames)


def overlap(first: Occupancies, second: Occupancies) -> np.ndarray:
    """Return Σ_s min(first_t(s), second_t(s)): float64 [frames].

    With a hard reference, γ_num(s_ut) = 1, it is γ_den(s_ut), the occupancy by which the paper
    rejects frames.
    """
    _, i, j = np.intersect1d(first.key, second.key, assume_unique=True, return_indices=True)
    least = np.minimum(first.values[i], second.values[j])
    return np.bincount(first.frame[i], least, first.frames)


def largest_magnitude(rows: Occupancies) -> np.ndarray:
    """Return max_s |rows_t(s)|: float64 [frames]."""
    out = np.zeros(rows.frames)
    np.maximum.at(out, rows.frame, np.abs(rows.values))
    return out
