"""What a sweep found: a row per cell, means over seeds, effects, significance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from workbench.metrics.significance import Comparison, paired_bootstrap, verdict
from workbench.metrics.words import WordErrors, total_errors, word_errors
from workbench.recognise.evaluate import read_transcripts
from workbench.settings import Value
from workbench.storage.run import Run
from workbench.sweeping.plan import CellState, PlannedCell, plan_cells
from workbench.sweeping.spec import Sweep

MEASURES = ("heldout_mmi", "heldout_wer", "frame_error", "test_wer")
"""What runs are compared by: F_MMI per frame, and error rates as fractions."""

NUMBERS = (
    *MEASURES,
    "heldout_sub",
    "heldout_del",
    "heldout_ins",
    "updates",
    "seconds",
    "frames_seen",
    "frames_kept",
    "frames_rejected",
    "utterances_set_aside",
    "staleness_inner_mean",
    "staleness_outer_mean",
    "staleness_outer_seconds",
)
SUMMARY_COLUMNS = (*NUMBERS, "rows_digest")
"""What a row per cell takes from the summary of its run."""

EFFECT_COLUMNS = ["axis", "value", "mean", "low", "high", "n"]
SIGNIFICANCE_COLUMNS = [
    "label",
    "against",
    "seeds",
    "test_wer",
    "baseline_wer",
    "difference",
    "low",
    "high",
    "p",
    "verdict",
]


@dataclass(frozen=True)
class Results:
    """``table``: one row per cell. ``groups``: one per setting of the axes, seeds taken together.

    Columns of ``groups``: the axes, ``label``, ``n`` (runs that ended), ``diverged``, and of each
    measure its mean, ``<measure>_low`` and ``<measure>_high``, Student's 95 % interval over seeds
    (nan for one seed). Columns of ``significance``: label, its test WER, the baseline's, p of the
    paired bootstrap, and the verdict in words.
    """

    sweep: Sweep
    cells: list[PlannedCell]
    table: pd.DataFrame
    groups: pd.DataFrame
    significance: pd.DataFrame

    @property
    def runs(self) -> dict[str, list[Run]]:
        """The runs of each label, seeds together."""
        by_label: dict[str, list[Run]] = {}
        for planned in self.cells:
            if planned.run is not None:
                by_label.setdefault(planned.cell.label, []).append(planned.run)
        return by_label


def read_results(sweep: Sweep, baseline: str | None = None) -> Results:
    """Return all that ``sweep`` has found so far.

    Settings are tested against the label ``baseline``, by default that of the first cell.
    """
    cells = plan_cells(sweep)
    table = cell_table(cells)
    groups = group_table(table, sweep.varied)
    return Results(sweep, cells, table, groups, significance_table(cells, baseline))


def cell_table(cells: Sequence[PlannedCell]) -> pd.DataFrame:
    """Return one row per cell: its values, its seed, its state, and its run's numbers."""
    frame = pd.DataFrame([_cell_row(planned) for planned in cells])
    for column in NUMBERS:
        if column in frame:
            frame[column] = pd.to_numeric(frame[column])
    return frame


def _cell_row(planned: PlannedCell) -> dict[str, Value | None]:
    cell = planned.cell
    run = planned.run
    without_numbers = planned.state in (CellState.FAILED, CellState.DIVERGED)
    summary = run.summary if run and not without_numbers else {}
    seconds = planned.price.seconds if planned.price else 0.0
    return {
        "cell": cell.id,
        "label": cell.label,
        **cell.values,
        "seed": cell.seed,
        "state": planned.state.value,
        **{column: summary.get(column) for column in SUMMARY_COLUMNS},
        "run": run.name if run else None,
        "minutes": (seconds or np.nan) / 60,
        "error": planned.error,
    }


def group_table(table: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Take the seeds of each label together, in the order of the cells; see `Results`."""
    rows: list[dict[str, Value]] = []
    for label, group in table.groupby("label", sort=False):
        ended = group[group.state == CellState.DONE]
        row: dict[str, Value] = {axis: group[axis].iloc[0] for axis in axes}
        row["label"] = label
        row["n"] = len(ended)
        row["diverged"] = int((group.state == CellState.DIVERGED).sum())
        for measure in MEASURES:
            interval = mean_interval(ended[measure].to_numpy(float))
            row[measure] = interval.mean
            row[f"{measure}_low"] = interval.low
            row[f"{measure}_high"] = interval.high
        rows.append(row)

    return pd.DataFrame(rows)


class MeanInterval(NamedTuple):
    """A mean and its interval; nan where there are too few values."""

    mean: float
    low: float
    high: float


def mean_interval(values: np.ndarray, level: float = 0.95) -> MeanInterval:
    """Return the mean of the finite values, and Student's interval of two or more of them."""
    values = values[np.isfinite(values)]
    if not len(values):
        return MeanInterval(np.nan, np.nan, np.nan)
    mean = float(values.mean())
    if len(values) < 2:
        return MeanInterval(mean, np.nan, np.nan)
    quantile = stats.t.ppf(0.5 + level / 2, len(values) - 1)
    half = float(quantile * values.std(ddof=1) / np.sqrt(len(values)))
    return MeanInterval(mean, mean - half, mean + half)


def effect_table(table: pd.DataFrame, axes: Sequence[str], measure: str) -> pd.DataFrame:
    """Return the main effects: the mean of ``measure`` for each value of each axis.

    The mean is over all cells that have the value and are done.
    """
    rows = []
    done = table[table.state == CellState.DONE]
    for axis in axes:
        for value, group in done.groupby(axis, sort=False):
            mean, low, high = mean_interval(group[measure].to_numpy(float))
            rows.append((axis, value, mean, low, high, len(group)))

    return pd.DataFrame(rows, columns=EFFECT_COLUMNS)


# --- significance


def significance_table(cells: Sequence[PlannedCell], baseline: str | None = None) -> pd.DataFrame:
    """Compare each label with the baseline by a paired bootstrap over the test utterances.

    The errors of the seeds that both have are added up.
    """
    tested: dict[str, dict[int, Run]] = {}  # label -> seed -> run
    for planned in cells:
        run = planned.run
        if planned.state == CellState.DONE and run and (run.folder / "test.hyp").exists():
            tested.setdefault(planned.cell.label, {})[planned.cell.seed] = run

    if not baseline:
        baseline = cells[0].cell.label if cells else ""
    rows = []
    for label, by_seed in tested.items():
        of_baseline = tested.get(baseline, {})
        seeds = sorted(set(by_seed) & set(of_baseline))
        if label == baseline or not seeds:
            continue
        found = compare_runs([of_baseline[s] for s in seeds], [by_seed[s] for s in seeds])
        rows.append(
            {
                "label": label,
                "against": baseline,
                "seeds": len(seeds),
                "test_wer": found.wer_b,
                "baseline_wer": found.wer_a,
                "difference": found.wer_b - found.wer_a,
                "low": found.low,
                "high": found.high,
                "p": found.p,
                "verdict": verdict(found.p, found.wer_a, found.wer_b),
            }
        )

    return pd.DataFrame(rows, columns=SIGNIFICANCE_COLUMNS)


def compare_runs(a: Sequence[Run], b: Sequence[Run]) -> Comparison:
    """Compare two groups of tested runs, seed by seed: test WERs, their difference, and p."""
    return paired_bootstrap(_errors_over_runs(a), _errors_over_runs(b))


def _errors_over_runs(runs: Sequence[Run]) -> list[WordErrors]:
    """The errors of each test utterance, added up over runs; utterances by name."""
    by_run = []
    for run in runs:
        hypotheses = read_transcripts(run.folder / "test.hyp")
        references = read_transcripts(run.folder / "test.ref")
        by_run.append(
            [
                word_errors(words, hypotheses.get(utterance, ()))
                for utterance, words in sorted(references.items())
            ]
        )

    return [total_errors(errors) for errors in zip(*by_run, strict=True)]


def result_sentences(results: Results) -> list[str]:
    """Return what the significance tests found, in words, and which runs diverged."""
    sentences = []
    for row in results.significance.to_dict("records"):
        over = f" over {row['seeds']} seeds" if row["seeds"] > 1 else ""
        sentences.append(
            f"{row['label']} against {row['against']}: "
            f"test WER {100 * row['baseline_wer']:.1f} → {100 * row['test_wer']:.1f} %{over}, "
            f"{row['verdict']}."
        )

    diverged = results.table[results.table.state == CellState.DIVERGED]
    for cell in diverged.itertuples():
        sentences.append(f"{cell.label}, seed {cell.seed}: diverged.")
    return sentences
