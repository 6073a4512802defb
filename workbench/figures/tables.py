"""Tables of runs, one row per run: as text, as JSON objects, or as a pandas frame."""

from collections.abc import Mapping, Sequence

import pandas as pd
from tabulate import tabulate

from workbench.metrics.tested import comparison_with_parent
from workbench.metrics.verdicts import MARGIN, judge
from workbench.storage.run import Run, RunState

RUN_COLUMNS = (
    "run",
    "state",
    "corpus",
    "criterion",
    "replicas",
    "updates",
    "heldout_mmi",
    "heldout_wer",
    "heldout_sub",
    "heldout_del",
    "heldout_ins",
    "heldout_no_path",
    "frame_error",
    "test_wer",
    "test_wer_low",
    "test_wer_high",
    "test_speakers",
    "test_words",
    "test_utterances",
    "test_no_path",
    "p_value",
    "outcome",
    "verdict",
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
FRACTIONS = {
    "heldout_wer",
    "heldout_sub",
    "heldout_del",
    "heldout_ins",
    "frame_error",
    "test_wer",
    "test_wer_low",
    "test_wer_high",
}
TITLES = {
    "run": "run",
    "state": "state",
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
    "test_speakers": "speakers",
    "p_value": "p",
    "outcome": "verdict",
}
TEXT_COLUMNS = (
    "run",
    "state",
    "criterion",
)  # to the left in a table of text; all others hold numbers
NOT_MEASURED = "–"

RunValue = str | int | float | None


def run_row(run: Run, margin: float = MARGIN) -> dict[str, RunValue]:
    """Return one run's numbers under the names in RUN_COLUMNS.

    WERs and errors are fractions; None stands for what was not measured. The verdict is on the run
    against the one that it started from; differences below ``margin`` count as equivalent.
    """
    record = run.record
    settings = record.settings
    known: dict[str, RunValue] = {
        "run": run.name,
        "state": run.status().state.value,
        "corpus": record.corpus.name,
        "criterion": settings["criterion"],
        "replicas": settings["replicas"],
        "clock": settings["clock"],
        **_verdict_columns(run, margin),
    }
    numbers = run.summary.numbers()
    return {column: known.get(column, numbers.get(column)) for column in RUN_COLUMNS}


def no_path_sentence(run: Run) -> str:
    """Return in how many test utterances the search found no path; "" if there is none."""
    summary = run.summary
    if not summary.test_no_path:
        return ""
    return (
        f"{summary.test_no_path} of {summary.test_utterances} test utterances had no path: "
        "all their words count as deleted"
    )


def _verdict_columns(run: Run, margin: float) -> dict[str, RunValue]:
    """The outcome of the comparison with the run that this one started from, and the verdict."""
    comparison = comparison_with_parent(run)
    if comparison is not None:
        verdict = judge(comparison, margin)
        return {"outcome": str(verdict.outcome), "verdict": str(verdict)}
    reason = run.summary.not_compared
    if reason:
        return {"outcome": "not comparable", "verdict": f"not comparable: {reason}"}
    return {"outcome": None, "verdict": None}


def run_rows(runs: Sequence[Run], margin: float = MARGIN) -> list[dict[str, RunValue]]:
    """Return the `run_row` of each run."""
    return [run_row(run, margin) for run in runs]


def run_frame(runs: Sequence[Run], margin: float = MARGIN) -> pd.DataFrame:
    """Return one row per run, with further columns for the settings in which runs differ."""
    rows = pd.DataFrame(run_rows(runs, margin), columns=list(RUN_COLUMNS))
    settings = pd.DataFrame([run.record.settings for run in runs])
    differing = [
        name for name in settings if settings[name].nunique(dropna=False) > 1 and name not in rows
    ]
    return pd.concat([rows, settings[differing]], axis=1)


def display_rows(runs: Sequence[Run], margin: float = MARGIN) -> list[dict[str, str]]:
    """Return rows to read: rounded, in percent, a dash for what was not measured.

    Of the verdict they hold the outcome; `run_row` has it in full. They hold states where some run
    is not done: what has not measured yet then differs from what never will.
    """
    rows = run_rows(runs, margin)
    columns = dict(TITLES)
    if all(row["state"] == RunState.DONE.value for row in rows):
        del columns["state"]

    out = []
    for row in rows:
        row["test_interval"] = _interval_text(row["test_wer_low"], row["test_wer_high"])
        out.append({title: _cell_text(column, row[column]) for column, title in columns.items()})
    return out


def _interval_text(low: RunValue, high: RunValue) -> str | None:
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    return f"{100 * low:.1f}–{100 * high:.1f}"


def _cell_text(column: str, value: RunValue) -> str:
    if value is None or value != value:
        return NOT_MEASURED
    if isinstance(value, str):
        return value
    if column in FRACTIONS:
        return f"{100 * value:.1f}"
    if column == "p_value":
        return f"{value:.3f}" if value >= 0.001 else "< 0.001"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def verdict_note(margin: float) -> str:
    """Return what the columns speakers, p and verdict of a table of runs mean."""
    return (
        "verdict: test WER against that of the run it started from, speaker by speaker; "
        f"differences below {100 * margin:g} % absolute count as equivalent"
    )


def text_table(runs: Sequence[Run], margin: float = MARGIN) -> str:
    """Return a table of runs as plain text, titles in the first line."""
    return plain_table(display_rows(runs, margin), TEXT_COLUMNS) or "no runs yet"


def plain_table(rows: Sequence[Mapping[str, str]], left: Sequence[str] = ()) -> str:
    """Return rows of cells as plain text, titles in the first line; columns ``left`` to the left.

    Without rows it is empty.
    """
    if not rows:
        return ""

    titles = list(rows[0])
    cells = [titles, *(list(row.values()) for row in rows)]
    sides = ["left" if title in left else "right" for title in titles]
    # Titles are a row, since tabulate makes columns two characters wider than their headers.
    return tabulate(cells, tablefmt="plain", colalign=sides, disable_numparse=True)
