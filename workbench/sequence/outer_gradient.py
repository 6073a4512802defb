"""Outer gradients: what a decoder computes from the posteriors of one utterance, for replicas to train on.

The outer gradient o_t(s) is the derivative of the criterion with respect to log p_θ(s|x_t), the acoustic scale κ
included (most toolkits leave it out, so learning rates do not carry over). A replica turns a row o into the gradient at
the input of the softmax: o - p_θ Σ_s o(s). Σ_s o(s) is the row's *mass*: zero for a sequence criterion, so that the
softmax cancels.

A frame is *rejected* (MMI only, whose logarithm diverges there) if Σ_s min(γ_num, γ_den) < ``rejection``; of the others
it is *cancelled* if max_s |o| / κ < ``cancellation``, i.e. numerator and denominator agree. What is left is *kept*.
"""

from dataclasses import dataclass, replace

import numpy as np

from workbench.hmm.graphs.graph import Graph
from workbench.sequence import criteria
from workbench.sequence.decoded import Decoded
from workbench.sequence.exact import exact_occupancies
from workbench.sequence.lattice import Lattice
from workbench.sequence.lattices import NOT_FINITE, Pair, Reference, acoustic_scores, pair
from workbench.sequence.occupancy import Occupancies, best_path, occupancies, summed
from workbench.settings import Settings

ROUNDING = 1e-9


@dataclass(frozen=True)
class Outer:
    """Rows o / κ of all frames before any is dropped; ``scale``: max_s of |o| / κ at the softmax input, per frame."""

    value: float
    rows: Occupancies
    mass: float
    scale: np.ndarray
    rejected: np.ndarray
    num: float
    den: float


def decode_outer(
    log_posteriors: np.ndarray,
    reference: Reference,
    denominator: Graph,
    log_prior: np.ndarray,
    settings: Settings,
    alignment: np.ndarray | None = None,
    utterance: int = -1,
) -> Decoded:
    """Numerator, lattice and outer gradient of one utterance; ``log_posteriors`` [T, states], ``log_prior`` [states].

    ``alignment`` [T]: fixed targets, for denominator=none-fixed and for smoothing (else the re-aligned reference). An
    utterance that cannot be used comes back without kept frames and with a reason; a reference that is only missing
    from the lattice gives no value but keeps the frames that pass rejection. Raises FloatingPointError if a row does
    not sum to its mass.
    """
    log_posteriors = np.asarray(log_posteriors, np.float32)
    lattice = settings.criterion.denominator == "lattice"
    scores = acoustic_scores(log_posteriors, log_prior, settings)
    found = pair(scores, reference, denominator if lattice else None, settings)
    decoded = _without_frames(utterance, len(scores), found, settings.lattices.beam)
    exact = lattice and settings.lattices.engine == "exact"
    if found.reason == NOT_FINITE or found.numerator is None:
        return decoded
    if lattice and found.denominator is None and not exact:
        return decoded
    if exact:
        (den,), (gamma,) = exact_occupancies(denominator, [scores])
        outer = against_everything(found.numerator, float(den), gamma, settings)
    elif lattice:
        outer = against_lattice(found, settings)
    else:
        outer = without_denominator(
            found,
            log_posteriors,
            alignment if settings.criterion.denominator == "none-fixed" else None,
        )
    targets = decoded.numerator_states if alignment is None else alignment
    return _select(decoded, outer, log_posteriors, targets, settings)


def against_everything(
    numerator: Lattice, den: float, gamma_den: Occupancies, settings: Settings
) -> Outer:
    """MMI against the sum over all paths of a graph."""
    num, gamma_num = occupancies(numerator)
    rejected = criteria.overlap(gamma_num, gamma_den) < settings.criterion.rejection
    rows = criteria.difference(gamma_num, gamma_den)
    return Outer(num - den, rows, 0.0, criteria.largest(rows), rejected, num, den)


def against_lattice(found: Pair, settings: Settings) -> Outer:
    """The criterion of ``settings`` on both lattices; MMI where it names none of whole sequences."""
    num, gamma_num = occupancies(found.numerator)
    den, gamma_den = occupancies(found.denominator)
    rejected = np.zeros(gamma_den.frames, bool)
    if settings.criterion.name in ("mpe", "smbr"):
        accuracy = (
            criteria.phone_accuracy if settings.criterion.name == "mpe" else criteria.state_accuracy
        )
        value, rows = criteria.expected_accuracy(
            found.denominator, accuracy(found.numerator, found.denominator)
        )
    else:
        rejected = criteria.overlap(gamma_num, gamma_den) < settings.criterion.rejection
        value, rows = num - den, criteria.difference(gamma_num, gamma_den)
        if settings.criterion.name == "bmmi" and settings.criterion.boost:
            value, rows = criteria.boosted_mmi(
                found.numerator, found.denominator, settings.criterion.boost
            )
        if found.reason:
            value = np.nan
    return Outer(value, rows, 0.0, criteria.largest(rows), rejected, num, den)


def without_denominator(
    found: Pair, log_posteriors: np.ndarray, alignment: np.ndarray | None
) -> Outer:
    """The controls of experiment E4a: cross entropy toward γ_num, or toward a fixed ``alignment`` [T].

    The row is the target itself, of mass one, so a replica trains on κ (γ_num - p_θ) with its own current p_θ.
    """
    num, rows = occupancies(found.numerator)
    if alignment is not None:
        rows = summed(
            np.arange(len(alignment)) << 32 | alignment, np.ones(len(alignment)), len(alignment)
        )
    value = float(rows.values @ log_posteriors[rows.frame, rows.states])
    agreement = np.exp(log_posteriors)
    agreement[rows.frame, rows.states] -= rows.values
    return Outer(
        value, rows, 1.0, np.abs(agreement).max(axis=1), np.zeros(rows.frames, bool), num, np.nan
    )


def _without_frames(utterance: int, frames: int, found: Pair, beam: float) -> Decoded:
    """What is known of an utterance before its outer gradient."""
    words: tuple[int, ...] = ()
    states = np.full(frames, -1, np.int32)
    if found.denominator is not None:
        words, beam = best_path(found.denominator)[0], found.denominator.beam
    if found.numerator is not None:
        states = best_path(found.numerator)[1]
    nothing = (
        np.zeros(0, np.int32),
        np.zeros(1, np.int64),
        np.zeros(0, np.int32),
        np.zeros(0, np.float32),
    )
    return Decoded(
        utterance,
        frames,
        *nothing,
        mass=0.0,
        value=np.nan,
        reason=found.reason,
        rejected=0,
        cancelled=0,
        words=words,
        reference=found.reference,
        numerator_states=states,
        num=np.nan,
        den=np.nan,
        beam=beam,
    )


def _select(
    decoded: Decoded, outer: Outer, log_posteriors, targets: np.ndarray, settings: Settings
) -> Decoded:
    """Drop the rejected and the cancelled frames, scale by κ, add the smoothing."""
    cancelled = ~outer.rejected & (outer.scale < settings.criterion.cancellation)
    keep = ~outer.rejected & ~cancelled
    key, values = outer.rows.key, settings.criterion.acoustic_scale * outer.rows.values
    mass = settings.criterion.acoustic_scale * outer.mass
    if settings.criterion.smoothing:
        key = np.concatenate([key, np.arange(decoded.frames) << 32 | targets])
        values = np.concatenate([values, np.full(decoded.frames, settings.criterion.smoothing)])
        mass += settings.criterion.smoothing
    rows = summed(key, values, decoded.frames)
    sums = np.bincount(rows.frame, rows.values, rows.frames)
    if not (np.abs(sums - mass) < ROUNDING).all():
        raise FloatingPointError(
            f"utterance {decoded.utterance}: an outer gradient sums to {sums}, not {mass}"
        )
    entries = keep[rows.frame]
    return replace(
        decoded,
        kept=np.flatnonzero(keep).astype(np.int32),
        indptr=np.concatenate([[0], np.cumsum(np.diff(rows.indptr)[keep])]),
        states=rows.states[entries],
        values=rows.values[entries].astype(np.float32),
        mass=mass,
        value=float(outer.value),
        rejected=int(outer.rejected.sum()),
        cancelled=int(cancelled.sum()),
        num=outer.num,
        den=outer.den,
        posteriors=np.exp(log_posteriors[keep])
        if settings.criterion.auxiliary == "proximal"
        else None,
    )
