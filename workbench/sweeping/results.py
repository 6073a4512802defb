"""What a sweep found: one row per cell, means and intervals over seeds, effects of each factor, and significance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from workbench.metrics.significance import Comparison, paired_bootstrap, verdict
from workbench.metrics.words import WordErrors, total, word_errors
from workbench.recognise.evaluate import read_transcripts
from workbench.storage.run import Run
from workbench.sweeping.plan import PlannedCell, plan
from workbench.sweeping.spec import Sweep

MEASURES = (
    "heldout_mmi",
    "heldout_wer",
    "frame_error",
    "test_wer",
)  # fractions, and F_MMI per frame
KEPT_NUMBERS = (
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
    "rows_digest",
)


@dataclass(frozen=True)
class Results:
    """``table``: one row per cell. ``groups``: one per setting of the axes, seeds taken together.

    Columns of ``groups``: the axes, ``label``, ``n`` (runs that ended), ``diverged``, and of each measure its mean,
    and ``<measure>_low`` and ``_high``, Student's 95 % interval over seeds (nan for one seed).
    ``significance``: label, its test WER, the baseline's, p of the paired bootstrap, and the verdict in plain words.
    """

    sweep: Sweep
    cells: list[PlannedCell]
    table: pd.DataFrame
    groups: pd.DataFrame
    significance: pd.DataFrame

    @property
    def runs(self) -> dict[str, list[Run]]:
        """The runs of each label, seeds together."""
        out: dict[str, list[Run]] = {}
        for c in self.cells:
            if c.run is not None:
                out.setdefault(c.cell.label, []).append(c.run)
        return out


def results(sweep: Sweep, baseline: str | None = None) -> Results:
    """All that ``sweep`` has found so far, tested against the label ``baseline`` (default: that of the first cell)."""
    cells = plan(sweep)
    table = cell_table(cells)
    return Results(
        sweep, cells, table, groups_of(table, sweep.varied), significance(cells, baseline)
    )


def cell_table(cells: Sequence[PlannedCell]) -> pd.DataFrame:
    """One row per cell: its values, its seed, its state, and its run's numbers."""
    rows = []
    for c in cells:
        summary = c.run.summary if c.run else {}
        numbers = (
            {k: summary.get(k) for k in KEPT_NUMBERS}
            if c.state not in ("failed", "diverged")
            else {}
        )
        rows.append(
            {
                "cell": c.cell.id,
                "label": c.cell.label,
                **c.cell.values,
                "seed": c.cell.seed,
                "state": c.state,
                **dict.fromkeys(KEPT_NUMBERS),
                **numbers,
                "run": c.run.name if c.run else None,
                "minutes": (c.seconds or np.nan) / 60,
                "error": c.error,
            }
        )
    frame = pd.DataFrame(rows)
    for column in [k for k in KEPT_NUMBERS if k != "rows_digest" and k in frame]:
        frame[column] = pd.to_numeric(frame[column])
    return frame


def groups_of(table: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """Seeds taken together, in the order of the cells."""
    rows: list[dict[str, Any]] = []
    for label, group in table.groupby("label", sort=False):
        row: dict[str, Any] = {a: group[a].iloc[0] for a in axes}
        ended = group[group.state == "done"]
        row |= {"label": label, "n": len(ended), "diverged": int((group.state == "diverged").sum())}
        for measure in MEASURES:
            row[measure], row[f"{measure}_low"], row[f"{measure}_high"] = mean_interval(
                ended[measure].to_numpy(float)
            )
        rows.append(row)
    return pd.DataFrame(rows)


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Mean, and Student's interval of it; the interval is nan for fewer than two values."""
    values = values[np.isfinite(values)]
    if not len(values):
        return (np.nan, np.nan, np.nan)
    mean = float(values.mean())
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = float(
        stats.t.ppf(0.5 + level / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    )
    return mean, mean - half, mean + half


def effects(table: pd.DataFrame, axes: Sequence[str], measure: str) -> pd.DataFrame:
    """Of each value of each axis: mean and interval of the measure over all cells that have it (a main effect)."""
    rows = []
    for axis in axes:
        for value, group in table[table.state == "done"].groupby(axis, sort=False):
            mean, low, high = mean_interval(group[measure].to_numpy(float))
            rows.append(
                {
                    "axis": axis,
                    "value": value,
                    "mean": mean,
                    "low": low,
                    "high": high,
                    "n": len(group),
                }
            )
    return pd.DataFrame(rows, columns=["axis", "value", "mean", "low", "high", "n"])


def significance(cells: Sequence[PlannedCell], baseline: str | None = None) -> pd.DataFrame:
    """Each label against the baseline: paired bootstrap over the test utterances, errors of common seeds added up."""
    tested: dict[str, dict[int, Run]] = {}
    for c in cells:
        if c.state == "done" and c.run and (c.run.folder / "test.hyp").exists():
            tested.setdefault(c.cell.label, {})[c.cell.seed] = c.run
    baseline = baseline or (cells[0].cell.label if cells else "")
    rows = []
    for label, by_seed in tested.items():
        seeds = sorted(set(by_seed) & set(tested.get(baseline, {})))
        if label == baseline or not seeds:
            continue
        found = compare([tested[baseline][s] for s in seeds], [by_seed[s] for s in seeds])
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
    columns = [
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
    return pd.DataFrame(rows, columns=columns)


def compare(a: Sequence[Run], b: Sequence[Run]) -> Comparison:
    """Two groups of tested runs, seed by seed: test WERs, their difference, and p."""
    return paired_bootstrap(_added(a), _added(b))


def _added(runs: Sequence[Run]) -> list[WordErrors]:
    """The errors of each test utterance, added up over runs."""
    each = []
    for run in runs:
        said, reference = (
            read_transcripts(run.folder / "test.hyp"),
            read_transcripts(run.folder / "test.ref"),
        )
        each.append([word_errors(words, said.get(u, ())) for u, words in sorted(reference.items())])
    return [total(column) for column in zip(*each, strict=True)]


def sentences(found: Results) -> list[str]:
    """What the tests say, in plain words."""
    out = []
    for row in found.significance.to_dict("records"):
        over = f" over {row['seeds']} seeds" if row["seeds"] > 1 else ""
        out.append(
            f"{row['label']} against {row['against']}: test WER {100 * row['baseline_wer']:.1f} → "
            f"{100 * row['test_wer']:.1f} %{over}, {row['verdict']}."
        )
    diverged = found.table[found.table.state == "diverged"]
    return out + [f"{r.label}, seed {r.seed}: diverged." for r in diverged.itertuples()]
