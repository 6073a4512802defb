"""Runs as rows: what ``workbench table`` prints, as text, JSON objects or a pandas frame."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from workbench.storage.run import Run

COLUMNS = (
    "run",
    "corpus",
    "criterion",
    "replicas",
    "updates",
    "heldout_mmi",
    "heldout_wer",
    "heldout_sub",
    "heldout_del",
    "heldout_ins",
    "frame_error",
    "test_wer",
    "test_wer_low",
    "test_wer_high",
    "p_value",
    "frames_seen",
    "frames_kept",
    "frames_rejected",
    "utterances_set_aside",
    "clock",
    "seconds",
    "rows_digest",
    "parameters_digest",
    "staleness_inner_mean",
    "staleness_outer_mean",
    "staleness_outer_seconds",
    "updates_applied",
)
PERCENT = {
    "heldout_wer",
    "heldout_sub",
    "heldout_del",
    "heldout_ins",
    "frame_error",
    "test_wer",
    "test_wer_low",
    "test_wer_high",
}
SHORT = {
    "run": "run",
    "criterion": "criterion",
    "replicas": "replicas",
    "updates": "updates",
    "heldout_mmi": "F_MMI",
    "heldout_wer": "WER %",
    "heldout_sub": "sub",
    "heldout_del": "del",
    "heldout_ins": "ins",
    "frame_error": "frame err %",
    "test_wer": "test WER %",
    "test_interval": "95 % interval",
    "p_value": "p",
}


def run_row(run: Run) -> dict[str, Any]:
    """One run's numbers under the names of COLUMNS; WERs and errors as fractions, None where not measured."""
    record, summary = run.record, run.summary
    known = {
        "run": run.name,
        "corpus": record["corpus"]["name"],
        "criterion": record["settings"]["criterion"],
        "replicas": record["settings"]["replicas"],
        "clock": record["settings"]["clock"],
    }
    return {c: known.get(c, summary.get(c)) for c in COLUMNS}


def run_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """``run_row`` of each run."""
    return [run_row(run) for run in runs]


def run_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Runs as a table, one per row, with the settings in which they differ as columns of their own."""
    rows = pd.DataFrame(run_rows(runs), columns=list(COLUMNS))
    settings = pd.DataFrame([r.record["settings"] for r in runs])
    differing = [c for c in settings if settings[c].nunique(dropna=False) > 1 and c not in rows]
    return pd.concat([rows, settings[differing]], axis=1)


def display_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Rows for people: percent, rounded, the interval as one cell; a dash where not measured."""
    out = []
    for row in run_rows(runs):
        low, high = row["test_wer_low"], row["test_wer_high"]
        row["test_interval"] = None if low is None else f"{100 * low:.1f}–{100 * high:.1f}"
        out.append({title: _cell(column, row[column]) for column, title in SHORT.items()})
    return out


def _cell(column: str, value: Any) -> str:
    if value is None or value != value:
        return "–"
    if column in PERCENT:
        return f"{100 * value:.1f}"
    if column == "p_value":
        return f"{value:.3f}" if value >= 0.001 else "< 0.001"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def text_table(runs: Sequence[Run]) -> str:
    """A plain-text table of runs."""
    rows = display_rows(runs)
    if not rows:
        return "no runs yet"
    widths = {c: max(len(c), *(len(r[c]) for r in rows)) for c in rows[0]}
    lines = [
        "  ".join(c.ljust(w) for c, w in widths.items()),
        "  ".join("-" * w for w in widths.values()),
    ]
    lines += [
        "  ".join(
            r[c].ljust(w) if c in ("run", "criterion") else r[c].rjust(w) for c, w in widths.items()
        )
        for r in rows
    ]
    return "\n".join(lines)
