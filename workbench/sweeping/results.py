"""What a sweep found: a row per cell, means over seeds, effects, verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from workbench.metrics.means import mean_interval
from workbench.metrics.significance import Comparison
from workbench.metrics.tested import NotComparable, TestedRun, compare_tested
from workbench.metrics.verdicts import MARGIN, Verdict, VerdictOutcome, judge_all
from workbench.settings import Value
from workbench.storage.run import Run
from workbench.storage.summary import RunSummary
from workbench.storage.transcripts import has_transcripts
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

MOST_NAMED = 5
"""Settings that differ from the baseline and are named in the first sentence; a table has all."""

EFFECT_COLUMNS = ["axis", "value", "mean", "low", "high", "n"]
VERDICT_COLUMNS = [
    "label",
    "against",
    "seeds",
    "units",
    "unit",
    "test_wer",
    "baseline_wer",
    "difference",
    "low",
    "high",
    "p",
    "detectable",
    "words_needed",
    "outcome",
    "verdict",
]


@dataclass(frozen=True)
class LabelVerdict:
    """One label against the baseline; without a comparison, ``reason`` says why there is none."""

    label: str
    against: str
    seeds: int
    comparison: Comparison | None
    verdict: Verdict | None
    reason: str = ""

    @property
    def text(self) -> str:
        """The verdict in words."""
        return f"not comparable: {self.reason}" if self.verdict is None else str(self.verdict)


@dataclass(frozen=True)
class Results:
    """``table``: one row per cell. ``groups``: one per setting of the axes, seeds taken together.

    Columns of ``groups``: the axes, ``label``, ``n`` (runs that ended), ``diverged``, and of each
    measure its mean, ``<measure>_low`` and ``<measure>_high``, Student's 95 % interval over seeds
    (nan for one seed). ``verdicts``: one per label that was tested, against the baseline.
    """

    sweep: Sweep
    cells: list[PlannedCell]
    table: pd.DataFrame
    groups: pd.DataFrame
    verdicts: list[LabelVerdict]

    @property
    def runs(self) -> dict[str, list[Run]]:
        """The runs of each label, seeds together."""
        by_label: dict[str, list[Run]] = {}
        for planned in self.cells:
            if planned.run is not None:
                by_label.setdefault(planned.cell.label, []).append(planned.run)
        return by_label


def read_results(sweep: Sweep, baseline: str | None = None, margin: float = MARGIN) -> Results:
    """Return all that ``sweep`` has found so far.

    Settings are compared with the label ``baseline``, by default that of the first cell.
    ``margin``: the difference of word error rates that still counts as equivalent, a fraction.
    """
    cells = plan_cells(sweep)
    table = cell_table(cells)
    groups = group_table(table, sweep.varied)
    return Results(sweep, cells, table, groups, baseline_verdicts(cells, baseline, margin))


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
    summary = run.summary if run and not without_numbers else RunSummary()
    numbers = summary.numbers()
    seconds = planned.price.seconds if planned.price else 0.0
    return {
        "cell": cell.id,
        "label": cell.label,
        **cell.values,
        "seed": cell.seed,
        "state": planned.state.value,
        **{column: numbers[column] for column in SUMMARY_COLUMNS},
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


# --- verdicts


def baseline_verdicts(
    cells: Sequence[PlannedCell], baseline: str | None = None, margin: float = MARGIN
) -> list[LabelVerdict]:
    """Compare each label with the baseline on the test set, speaker by speaker.

    The errors of the seeds that both have are added up. P-values are corrected for the number of
    labels by Holm's method.
    """
    tested = _tests_by_label(cells)
    if not baseline:
        baseline = cells[0].cell.label if cells else ""
    of_baseline = tested.get(baseline, {})
    found = []
    for label, by_seed in tested.items():
        seeds = sorted(set(by_seed) & set(of_baseline))
        if label == baseline or not seeds:
            continue
        before = [of_baseline[seed] for seed in seeds]
        after = [by_seed[seed] for seed in seeds]
        try:
            comparison = compare_tested(before, after)
            found.append(LabelVerdict(label, baseline, len(seeds), comparison, None))
        except NotComparable as reason:
            found.append(LabelVerdict(label, baseline, len(seeds), None, None, str(reason)))

    verdicts = iter(judge_all([each.comparison for each in found if each.comparison], margin))
    return [replace(each, verdict=next(verdicts)) if each.comparison else each for each in found]


def verdict_frame(verdicts: Sequence[LabelVerdict]) -> pd.DataFrame:
    """Return one row per verdict; rates and differences are fractions."""
    rows = []
    for each in verdicts:
        row: dict[str, str | float | None] = {
            "label": each.label,
            "against": each.against,
            "seeds": each.seeds,
            "verdict": each.text,
        }
        if each.comparison and each.verdict:
            comparison = each.comparison
            verdict = each.verdict
            row |= {
                "units": comparison.units,
                "unit": str(comparison.unit),
                "test_wer": comparison.wer_b,
                "baseline_wer": comparison.wer_a,
                "difference": comparison.difference,
                "low": comparison.low,
                "high": comparison.high,
                "p": verdict.p,
                "detectable": verdict.detectable,
                "words_needed": verdict.words_needed,
                "outcome": str(verdict.outcome),
            }
        rows.append(row)

    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def _tests_by_label(cells: Sequence[PlannedCell]) -> dict[str, dict[int, TestedRun]]:
    """The tests of each label, by seed."""
    tested: dict[str, dict[int, TestedRun]] = {}
    for planned in cells:
        run = planned.run
        if planned.state == CellState.DONE and run and has_transcripts(run.folder):
            tested.setdefault(planned.cell.label, {})[planned.cell.seed] = TestedRun.of(run)
    return tested


def verdict_sentence(found: LabelVerdict) -> str:
    """Return one verdict as a sentence, with both error rates."""
    if found.comparison is None:
        return f"{found.label} against {found.against}: {found.text}."
    comparison = found.comparison
    over = f" over {found.seeds} seeds" if found.seeds > 1 else ""
    change = f"{100 * comparison.wer_a:.1f} → {100 * comparison.wer_b:.1f} %"
    return f"{found.label} against {found.against}: test WER {change}{over}, {found.text}."


def result_sentences(results: Results) -> list[str]:
    """Return how many settings differ from the baseline and which, and which runs diverged."""
    sentences = headline(results.verdicts)
    diverged = results.table[results.table.state == CellState.DIVERGED]
    for cell in diverged.itertuples():
        sentences.append(f"{cell.label}, seed {cell.seed}: diverged.")
    return sentences


def headline(verdicts: Sequence[LabelVerdict]) -> list[str]:
    """Return the verdicts in at most three sentences: those that differ first, then how many do
    not, then how they were reached.
    """
    if not verdicts:
        return []
    if len(verdicts) == 1:
        return [verdict_sentence(verdicts[0]), *_method(verdicts)]

    against = verdicts[0].against
    by_outcome: dict[str, list[str]] = {}
    for each in verdicts:
        outcome = str(each.verdict.outcome) if each.verdict else "not comparable"
        by_outcome.setdefault(outcome, []).append(each.label)

    differ = [
        f"{label} is {outcome}"
        for outcome in (VerdictOutcome.BETTER, VerdictOutcome.WORSE)
        for label in by_outcome.pop(outcome, [])
    ]
    named = differ[:MOST_NAMED]
    if len(differ) > MOST_NAMED:
        named.append(f"and {len(differ) - MOST_NAMED} more")
    which = f": {', '.join(named)}" if differ else ""
    first = f"{len(differ)} of {len(verdicts)} settings differ from {against} in test WER{which}."
    others = [f"{len(labels)} {outcome}" for outcome, labels in by_outcome.items()]
    rest = [f"The others: {', '.join(others)}."] if others else []
    return [first, *rest, *_method(verdicts)]


def _method(verdicts: Sequence[LabelVerdict]) -> list[str]:
    """How many units and comparisons the verdicts rest on, and what they can tell apart."""
    judged = [each.verdict for each in verdicts if each.verdict and each.verdict.p is not None]
    if not judged:
        return []
    first = judged[0]
    detectable = max(verdict.detectable or 0.0 for verdict in judged)
    corrected = f", corrected for {len(judged)} comparisons (Holm)" if len(judged) > 1 else ""
    return [
        f"Compared over {first.units} {first.unit}{corrected}; "
        f"a difference of {100 * detectable:.2g} % absolute would be found four times in five."
    ]
