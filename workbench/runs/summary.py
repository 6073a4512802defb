"""The numbers of `workbench table`, computed from the rows of a run."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from workbench.metrics.staleness import staleness, summarise_ages
from workbench.runs.record import parameters_digest
from workbench.storage.rows import DecodeRow, EvaluateRow, PushRow
from workbench.storage.run import Run


def summarise(run: Run, theta: np.ndarray, updates: int, updates_applied: int) -> dict[str, Any]:
    """Return the content of ``summary.json`` of a run that has ended or was stopped.

    ``theta`` are its parameters, ``updates`` the pushes that it reported, ``updates_applied`` those
    that the parameter server applied.
    """
    return {
        "updates": updates,
        "updates_applied": updates_applied,
        **_last_evaluation(run.table(EvaluateRow)),
        **_mean_staleness(run),
        **_frames_and_utterances(run.table(DecodeRow), run.table(PushRow)),
        "seconds": _last_seconds(run.table(EvaluateRow)),
        "rows_digest": run.rows_digest(),
        "parameters_digest": parameters_digest(theta),
    }


def _last_evaluation(evaluations: pd.DataFrame) -> dict[str, Any]:
    """What was measured last on the held-out set, None where nothing was."""
    last = evaluations.iloc[-1].to_dict() if len(evaluations) else {}
    return {
        "heldout_mmi": last.get("mmi"),
        "heldout_wer": last.get("wer"),
        "heldout_sub": last.get("sub"),
        "heldout_del": last.get("del"),
        "heldout_ins": last.get("ins"),
        "frame_error": last.get("frame_error"),
    }


def _mean_staleness(run: Run) -> dict[str, float | None]:
    """Mean staleness of inner and outer gradients in updates, and of the outer ones in seconds."""
    found = staleness(run.rows(PushRow))
    means = {
        "staleness_inner_mean": summarise_ages(found.inner).mean,
        "staleness_outer_mean": summarise_ages(found.outer).mean,
        "staleness_outer_seconds": summarise_ages(found.outer_seconds).mean,
    }
    return {name: None if math.isnan(mean) else mean for name, mean in means.items()}


def _frames_and_utterances(decodes: pd.DataFrame, pushes: pd.DataFrame) -> dict[str, Any]:
    """Where frames and utterances went; without decoders, frames are those of the pushes."""
    reasons = Counter(decodes["reason"].dropna()) if "reason" in decodes else Counter()
    decoded = len(decodes) > 0
    seen = decodes if decoded else pushes
    return {
        "frames_seen": int(seen["frames"].sum()) if len(seen) else 0,
        "frames_kept": int(decodes["kept"].sum()) if decoded else None,
        "frames_rejected": int(decodes["rejected"].sum()) if decoded else None,
        "utterances_set_aside": reasons.total(),
        "set_aside": dict(reasons),
    }


def _last_seconds(evaluations: pd.DataFrame) -> float | None:
    """The time of the last measurement, which is how long training took."""
    return float(evaluations["seconds"].max()) if len(evaluations) else None
