"""The summary of a run, computed from its rows."""

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from workbench.metrics.staleness import AgeSummary, AgeTable, Staleness, summarise_ages
from workbench.runs.record import parameters_digest
from workbench.storage.rows import DecodeRow, DivergenceRow, EvaluateRow, PushRow, Row
from workbench.storage.run import Run
from workbench.storage.summary import RunSummary


def summarise(run: Run, theta: np.ndarray, updates: int, updates_applied: int) -> RunSummary:
    """Return the summary of a run that has ended or was stopped, before any test.

    ``theta`` are its parameters, ``updates`` the pushes that it reported, ``updates_applied`` those
    that the parameter server applied.
    """
    noted = _Noted()
    for row in run.rows(Row):
        noted.note(row)

    summary = RunSummary(
        updates=updates,
        updates_applied=updates_applied,
        divergences=noted.divergences,
        rows_digest=run.rows_digest(),
        parameters_digest=parameters_digest(theta),
    )
    summary = _with_last_evaluation(summary, noted.last)
    summary = _with_mean_staleness(summary, noted.ages.staleness())
    return _with_frames_and_utterances(summary, noted)


@dataclass
class _Noted:
    """What is noted of the rows of a run on one way through them; none is kept but the last
    evaluation.
    """

    divergences: int = 0
    last: EvaluateRow | None = None
    set_aside: Counter[str] = field(default_factory=Counter)  # utterances by reason
    decoded: Counter[str] = field(default_factory=Counter)  # frames by what became of them
    pushed: int = 0  # frames
    ages: AgeTable = field(default_factory=AgeTable)  # of the pushes

    def note(self, row: Row) -> None:
        """Note what the summary says of one row."""
        match row:
            case PushRow():
                self.pushed += row.frames
                self.ages.add(row)
            case DecodeRow():
                self._note_decode(row)
            case EvaluateRow():
                if self.last is None or _when(row) > _when(self.last):
                    self.last = row
            case DivergenceRow():
                self.divergences += 1

    def _note_decode(self, row: DecodeRow) -> None:
        if row.reason is not None:
            self.set_aside[row.reason] += 1
        self.decoded["seen"] += row.frames
        self.decoded["kept"] += row.kept
        self.decoded["rejected"] += row.rejected


def _when(row: EvaluateRow) -> tuple[float, int]:
    return row.seconds, row.index


def _with_last_evaluation(summary: RunSummary, last: EvaluateRow | None) -> RunSummary:
    """Add what was measured last on the held-out set, and when: how long training took."""
    if last is None:
        return summary
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


def _with_mean_staleness(summary: RunSummary, found: Staleness) -> RunSummary:
    """Add the mean staleness of inner and outer gradients."""
    return replace(
        summary,
        staleness_inner_mean=_known_mean(summarise_ages(found.inner)),
        staleness_outer_mean=_known_mean(summarise_ages(found.outer)),
        staleness_outer_seconds=_known_mean(summarise_ages(found.outer_seconds)),
    )


def _known_mean(ages: AgeSummary) -> float | None:
    return None if math.isnan(ages.mean) else ages.mean


def _with_frames_and_utterances(summary: RunSummary, noted: _Noted) -> RunSummary:
    """Add where frames and utterances went; without decoders, frames are those of the pushes."""
    reasons = noted.set_aside
    frames = noted.decoded
    summary = replace(summary, utterances_set_aside=reasons.total(), set_aside=dict(reasons))
    if not frames:
        return replace(summary, frames_seen=noted.pushed)
    return replace(
        summary,
        frames_seen=frames["seen"],
        frames_kept=frames["kept"],
        frames_rejected=frames["rejected"],
    )
