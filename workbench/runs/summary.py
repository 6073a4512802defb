"""The summary of a run, computed from its rows."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from workbench.metrics.staleness import AgeSummary, staleness, summarise_ages
from workbench.runs.record import parameters_digest
from workbench.storage.rows import DecodeRow, DivergenceRow, EvaluateRow, PushRow
from workbench.storage.run import Run
from workbench.storage.summary import RunSummary


def summarise(run: Run, theta: np.ndarray, updates: int, updates_applied: int) -> RunSummary:
    """Return the summary of a run that has ended or was stopped, before any test.

    ``theta`` are its parameters, ``updates`` the pushes that it reported, ``updates_applied`` those
    that the parameter server applied.
    """
    summary = RunSummary(
        updates=updates,
        updates_applied=updates_applied,
        divergences=sum(1 for _ in run.rows(DivergenceRow)),
        rows_digest=run.rows_digest(),
        parameters_digest=parameters_digest(theta),
    )
    summary = _with_last_evaluation(summary, list(run.rows(EvaluateRow)))
    summary = _with_mean_staleness(summary, run.rows(PushRow))
    return _with_frames_and_utterances(summary, run)


def _with_last_evaluation(summary: RunSummary, evaluations: Sequence[EvaluateRow]) -> RunSummary:
    """Add what was measured last on the held-out set, and when: how long training took."""
    if not evaluations:
        return summary
    last = max(evaluations, key=lambda row: (row.seconds, row.index))
    return replace(
        summary,
        heldout_mmi=last.measured.mmi,
        heldout_wer=last.measured.wer,
        heldout_sub=last.measured.substitutions,
        heldout_del=last.measured.deletions,
        heldout_ins=last.measured.insertions,
        heldout_no_path=last.measured.no_path,
        frame_error=last.measured.frame_error,
        seconds=last.seconds,
    )


def _with_mean_staleness(summary: RunSummary, pushes: Iterable[PushRow]) -> RunSummary:
    """Add the mean staleness of inner and outer gradients."""
    found = staleness(pushes)
    return replace(
        summary,
        staleness_inner_mean=_known_mean(summarise_ages(found.inner)),
        staleness_outer_mean=_known_mean(summarise_ages(found.outer)),
        staleness_outer_seconds=_known_mean(summarise_ages(found.outer_seconds)),
    )


def _known_mean(ages: AgeSummary) -> float | None:
    return None if math.isnan(ages.mean) else ages.mean


def _with_frames_and_utterances(summary: RunSummary, run: Run) -> RunSummary:
    """Add where frames and utterances went; without decoders, frames are those of the pushes."""
    reasons: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    for row in run.rows(DecodeRow):
        if row.reason is not None:
            reasons[row.reason] += 1
        frames["seen"] += row.frames
        frames["kept"] += row.kept
        frames["rejected"] += row.rejected

    summary = replace(summary, utterances_set_aside=reasons.total(), set_aside=dict(reasons))
    if not frames:
        return replace(summary, frames_seen=sum(row.frames for row in run.rows(PushRow)))
    return replace(
        summary,
        frames_seen=frames["seen"],
        frames_kept=frames["kept"],
        frames_rejected=frames["rejected"],
    )
