"""Outer gradients: what a decoder computes from the posteriors of one utterance, for replicas to
train on.

The outer gradient o_t(s) is the derivative of the criterion with respect to log p_θ(s|x_t), with
the acoustic scale κ included (docs/method.md, section 1; most toolkits leave it out, so learning
rates do not carry over). A replica turns a row o into the gradient at the input of the softmax: o -
p_θ Σ_s o(s). Σ_s o(s) is the row's *mass*. It is zero for a sequence criterion, so that the softmax
cancels.

A frame is *rejected* if Σ_s min(γ_num, γ_den) < ``rejection`` (MMI only, whose logarithm diverges
there). Of the others it is *cancelled* if max_s |o| / κ < ``cancellation``: numerator and
denominator agree. The rest is *kept*.

With ``smoothing`` (the H-criterion) cross entropy is added on every frame, so every frame is kept;
one that would be rejected has the cross entropy alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.hmm.graphs.graph import Graph, NoPath
from workbench.hmm.states import SIL
from workbench.sequence import criteria
from workbench.sequence.decoded import Decoded, Occupied
from workbench.sequence.exact import exact_expected_accuracy, exact_occupancies
from workbench.sequence.lattice import Lattice
from workbench.sequence.lattice_pair import (
    NO_LATTICE,
    LatticePair,
    NoLatticePair,
    Reference,
    acoustic_scores,
    find_numerator,
    find_pair,
)
from workbench.sequence.occupancy import (
    Occupancies,
    best_path,
    entry_key,
    occupancies,
    sum_by_key,
)
from workbench.settings import CriterionSettings, Settings

ROUNDING = 1e-9  # by which the sum of a row may differ from its mass


@dataclass(frozen=True)
class FrameGradients:
    """The gradients of all frames of an utterance, before any is dropped.

    ``value``: the criterion. ``rows``: o / κ, each of sum ``mass``. ``magnitude`` float64 [frames]:
    max_s |o| / κ at the softmax input. ``rejected`` bool [frames]. ``num``, ``den``: log totals,
    boosted where the criterion is. ``gammas``: γ_num and γ_den, where the rows are their
    difference.
    """

    value: float
    rows: Occupancies
    mass: float
    magnitude: np.ndarray
    rejected: np.ndarray
    num: float
    den: float
    gammas: tuple[Occupancies, Occupancies] | None = None


def decode_outer(
    log_posteriors: np.ndarray,
    reference: Reference,
    denominator: Graph,
    log_prior: np.ndarray,
    settings: Settings,
    alignment: np.ndarray | None = None,
    utterance: int = -1,
    silence: Sequence[int] = (SIL,),
) -> Decoded:
    """Return numerator, lattice and outer gradient of one utterance.

    ``log_posteriors`` [T, states]; ``log_prior`` [states]; ``denominator``: the graph to search.
    ``alignment`` [T]: fixed targets for denominator=none-fixed and for smoothing, by default the
    re-aligned reference. ``utterance``: its number, for the record. ``silence``: the phones of
    silence and noise, which are one class for MPE, sMBR and boosted MMI.

    An utterance that cannot be used comes back without kept frames and with a reason. Where the
    reference is only missing from the lattice there is no value, but frames, see `against_lattice`.
    Raises FloatingPointError if a row does not sum to its mass.
    """
    log_posteriors = np.asarray(log_posteriors, np.float32)
    criterion = settings.criterion
    scores = acoustic_scores(log_posteriors, log_prior, criterion)
    without_frames = _without_frames(utterance, len(scores), settings.lattices.beam)

    if criterion.denominator == "lattice":
        pair = find_pair(scores, reference, denominator, settings.lattices)
        decoded = _with_lattices(without_frames, reference, pair)
        if pair.numerator is None:
            return decoded
        if settings.lattices.engine == "exact":
            # The search may have failed all the same; the sum over all paths needs no lattice.
            decoded = replace(decoded, reason=None)
            try:
                gradients = _against_graph(pair.numerator, denominator, scores, criterion, silence)
            except NoPath as error:
                return replace(decoded, reason=NO_LATTICE + str(error))
        elif isinstance(pair, LatticePair):
            gradients = against_lattice(pair, criterion, silence)
        else:
            return decoded
    else:
        numerator = find_numerator(scores, reference, settings.lattices)
        if isinstance(numerator, NoLatticePair):
            return replace(without_frames, reason=numerator.reason)
        decoded = _with_numerator(without_frames, reference, numerator)
        targets = alignment if criterion.denominator == "none-fixed" else None
        gradients = without_denominator(numerator, log_posteriors, targets)

    targets = decoded.numerator_states if alignment is None else alignment
    return _select(decoded, gradients, log_posteriors, targets, criterion)


def _against_graph(
    numerator: Lattice,
    graph: Graph,
    scores: np.ndarray,
    criterion: CriterionSettings,
    silence: Sequence[int],
) -> FrameGradients:
    """The gradients of a criterion against all paths of a graph; NoPath if it has none."""
    if criterion.name in ("ce", "mmi"):
        totals, gammas = exact_occupancies(graph, [scores])
        return against_all_paths(numerator, float(totals[0]), gammas[0], criterion)

    right = criteria.right_in_graph(graph, numerator, criterion, silence)
    value, den, rows = exact_expected_accuracy(graph, scores, right)
    num, _ = occupancies(numerator)
    return FrameGradients(
        value=value,
        rows=rows,
        mass=0.0,
        magnitude=criteria.largest_magnitude(rows),
        rejected=np.zeros(rows.frames, bool),
        num=num,
        den=den,
    )


def against_all_paths(
    numerator: Lattice, den: float, gamma_den: Occupancies, criterion: CriterionSettings
) -> FrameGradients:
    """Return the gradients of MMI against all paths of a graph, of log total ``den`` and
    occupancies ``gamma_den``.
    """
    num, gamma_num = occupancies(numerator)
    rows = criteria.difference(gamma_num, gamma_den)
    return FrameGradients(
        value=num - den,
        rows=rows,
        mass=0.0,
        magnitude=criteria.largest_magnitude(rows),
        rejected=criteria.overlap(gamma_num, gamma_den) < criterion.rejection,
        num=num,
        den=den,
        gammas=(gamma_num, gamma_den),
    )


def against_lattice(
    pair: LatticePair, criterion: CriterionSettings, silence: Sequence[int] = (SIL,)
) -> FrameGradients:
    """Return the gradients of ``criterion`` on both lattices; of MMI if it is cross entropy.

    Where the lattice has lost the reference, MMI and bMMI climb num - log(e^den + e^num). Without
    the reference in the denominator they would have no upper bound: a search that fails would be
    rewarded, and the parameters run away. ``den`` of the result is that of the lattice alone.
    ``silence``: see `decode_outer`.
    """
    numerator = criteria.join_silence(pair.numerator, silence)
    denominator = criteria.join_silence(pair.denominator, silence)
    num, gamma_num = occupancies(numerator)
    den, gamma_den = occupancies(denominator)

    gammas = None
    if criterion.name not in ("ce", "mmi", "bmmi"):
        value, rows = criteria.lattice_gradient(numerator, denominator, criterion)
        rejected = np.zeros(gamma_den.frames, bool)
    else:
        # Once the reference is in the denominator no frame lacks it, and those where the lattice
        # has other states are the errors, which training must see.
        lost = criteria.overlap(gamma_num, gamma_den) < criterion.rejection
        rejected = np.zeros_like(lost) if pair.outside else lost

        boosted = criterion.name == "bmmi" and criterion.boost > 0
        if boosted:
            den, gamma_den = criteria.boosted_occupancies(numerator, denominator, criterion.boost)
        if pair.outside:
            reference = (num, gamma_num)
            if boosted:
                reference = criteria.boosted_occupancies(numerator, numerator, criterion.boost)
            _, gamma_den = criteria.with_reference(*reference, den, gamma_den)

        gammas = (gamma_num, gamma_den)
        value = np.nan if pair.outside else num - den
        rows = criteria.difference(*gammas)

    return FrameGradients(
        value=value,
        rows=rows,
        mass=0.0,
        magnitude=criteria.largest_magnitude(rows),
        rejected=rejected,
        num=num,
        den=den,
        gammas=gammas,
    )


def without_denominator(
    numerator: Lattice, log_posteriors: np.ndarray, alignment: np.ndarray | None
) -> FrameGradients:
    """Return the gradients of the controls of experiment E4a: cross entropy toward γ_num, or toward
    ``alignment`` [T].

    The row is the target itself, of mass one. So a replica trains on κ (γ_num - p_θ) with its own
    current p_θ.
    """
    num, rows = occupancies(numerator)
    if alignment is not None:
        frames = len(alignment)
        rows = sum_by_key(entry_key(np.arange(frames), alignment), np.ones(frames), frames)

    at_softmax = np.exp(log_posteriors)
    at_softmax[rows.frame, rows.states] -= rows.values
    return FrameGradients(
        value=float(rows.values @ log_posteriors[rows.frame, rows.states]),
        rows=rows,
        mass=1.0,
        magnitude=np.abs(at_softmax).max(axis=1),
        rejected=np.zeros(rows.frames, bool),
        num=num,
        den=np.nan,
    )


def _without_frames(utterance: int, frames: int, beam: float) -> Decoded:
    """Return the record of an utterance of which nothing is known yet."""
    return Decoded(
        utterance,
        frames,
        kept=np.zeros(0, np.int32),
        indptr=np.zeros(1, np.int64),
        states=np.zeros(0, np.int32),
        values=np.zeros(0, np.float32),
        mass=0.0,
        value=np.nan,
        reason=None,
        rejected=0,
        cancelled=0,
        words=(),
        reference=(),
        numerator_states=np.full(frames, -1, np.int32),
        num=np.nan,
        den=np.nan,
        beam=beam,
    )


def _with_lattices(
    decoded: Decoded, reference: Reference, pair: LatticePair | NoLatticePair
) -> Decoded:
    """Add the best paths of the lattices that were found, and the reason why one was not."""
    decoded = replace(decoded, reason=pair.reason)
    if pair.denominator is not None:
        words = best_path(pair.denominator).words
        decoded = replace(decoded, words=words, beam=pair.denominator.beam, found_path=True)
    if pair.numerator is not None:
        decoded = _with_numerator(decoded, reference, pair.numerator)
    return decoded


def _with_numerator(decoded: Decoded, reference: Reference, numerator: Lattice) -> Decoded:
    states = best_path(numerator).states
    return replace(decoded, reference=reference.words, numerator_states=states)


def _select(
    decoded: Decoded,
    gradients: FrameGradients,
    log_posteriors: np.ndarray,
    targets: np.ndarray,
    criterion: CriterionSettings,
) -> Decoded:
    """Drop the rejected and the cancelled frames, multiply by κ, add the smoothing toward
    ``targets`` [T], which drops none.
    """
    rejected = gradients.rejected
    cancelled = ~rejected & (gradients.magnitude < criterion.cancellation)
    if criterion.smoothing:
        gradients = _without_rejected(gradients)
        rejected = np.zeros_like(rejected)
        cancelled = np.zeros_like(rejected)
    keep = ~rejected & ~cancelled

    rows, mass = _scale(gradients, targets, criterion)
    sums = np.bincount(rows.frame, rows.values, rows.frames)
    if not (np.abs(sums - mass) < ROUNDING).all():
        raise FloatingPointError(
            f"utterance {decoded.utterance}: an outer gradient sums to {sums}, not {mass}"
        )

    entries = keep[rows.frame]
    proximal = criterion.auxiliary == "proximal"
    occupied = None
    if criterion.auxiliary == "reweighted" and gradients.gammas:
        # With smoothing, a rejected frame is kept for its cross entropy alone.
        occupied = find_occupied(
            *gradients.gammas, log_posteriors, keep, keep & ~gradients.rejected
        )
    return replace(
        decoded,
        kept=np.flatnonzero(keep).astype(np.int32),
        indptr=np.concatenate([[0], np.cumsum(np.diff(rows.indptr)[keep])]),
        states=rows.states[entries],
        values=rows.values[entries].astype(np.float32),
        mass=mass,
        value=float(gradients.value),
        rejected=int(rejected.sum()),
        cancelled=int(cancelled.sum()),
        num=gradients.num,
        den=gradients.den,
        posteriors=np.exp(log_posteriors[keep]) if proximal else None,
        occupied=occupied,
    )


def find_occupied(
    gamma_num: Occupancies,
    gamma_den: Occupancies,
    log_posteriors: np.ndarray,
    keep: np.ndarray,
    filled: np.ndarray,
) -> Occupied:
    """Return the occupancies of the frames in ``keep``, bool [T], with log p_θ' of their states.

    Only rows of frames that are ``filled`` too have entries.
    """
    visited = criteria.difference(gamma_num, gamma_den)
    entries = filled[visited.frame]
    numerator = np.zeros(len(visited.key), np.float32)
    numerator[np.searchsorted(visited.key, gamma_num.key)] = gamma_num.values
    denominator = np.zeros(len(visited.key), np.float32)
    denominator[np.searchsorted(visited.key, gamma_den.key)] = gamma_den.values
    return Occupied(
        np.concatenate([[0], np.cumsum((np.diff(visited.indptr) * filled)[keep])]),
        visited.states[entries],
        numerator[entries],
        denominator[entries],
        log_posteriors[visited.frame, visited.states][entries],
    )


def _without_rejected(gradients: FrameGradients) -> FrameGradients:
    """Return the gradients without what the rejected frames had, whose rows must sum to 0."""
    rows = gradients.rows
    values = np.where(gradients.rejected[rows.frame], 0.0, rows.values)
    return replace(gradients, rows=replace(rows, values=values))


def _scale(
    gradients: FrameGradients, targets: np.ndarray, criterion: CriterionSettings
) -> tuple[Occupancies, float]:
    """Return (κ times the rows, with the smoothing's cross entropy, and the mass of each)."""
    frames = gradients.rows.frames
    key = gradients.rows.key
    values = criterion.acoustic_scale * gradients.rows.values
    mass = criterion.acoustic_scale * gradients.mass
    if criterion.smoothing:
        key = np.concatenate([key, entry_key(np.arange(frames), targets)])
        values = np.concatenate([values, np.full(frames, criterion.smoothing)])
        mass += criterion.smoothing
    return sum_by_key(key, values, frames), mass
