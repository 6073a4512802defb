"""From the runs of a study to the rows that are kept of it."""

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np

from workbench.metrics.drift import drift_points
from workbench.metrics.staleness import kept_of_run
from workbench.metrics.tested import NotComparable, TestedRun, compare_tested
from workbench.metrics.words import total_errors
from workbench.prepare.corpus import Corpus
from workbench.prepare.describe import FRAMES_PER_HOUR
from workbench.settings import Settings
from workbench.storage.rows import EvaluateRow
from workbench.storage.run import Run
from workbench.storage.summary import RunSummary
from workbench.storage.transcripts import has_transcripts
from workbench.studies.plan import ArmPlan, StudyPlan, corpus_exists
from workbench.studies.rows import (
    StudyCell,
    StudyComparison,
    StudyDrift,
    StudyEvaluation,
    StudyRecord,
    StudyResults,
)
from workbench.studies.study import START, CorpusOfSize
from workbench.sweeping import CellState, PlannedCell, Sweep
from workbench.sweeping.starting_run import find_start
from workbench.system.processor import this_processor

DRIFTS_KEPT = 40
"""Utterances of a run whose drift is kept, at most."""


def collect_study(plan: StudyPlan) -> StudyResults:
    """Return the rows of everything that has ended in a study."""
    cells: list[StudyCell] = []
    curves: list[StudyEvaluation] = []
    drifts: list[StudyDrift] = []
    tests: dict[str, dict[int, TestedRun]] = {}
    arm_of: dict[str, str] = {}
    versions = ""
    all_cells = 0

    for arm in plan.arms:
        planned_cells = arm.cells()
        all_cells += len(planned_cells)
        for planned in planned_cells:
            if not planned.state.ended or planned.run is None:
                continue
            label = arm.label(planned.cell.label)
            arm_of.setdefault(label, arm.arm.name)
            versions = versions or _versions_text(planned.run)
            cells.append(_cell_row(arm, label, planned, planned.run))
            curves += _curve_rows(arm.arm.name, label, planned.cell.seed, planned.run)
            drifts += _drift_rows(arm.arm.name, label, planned.cell.seed, planned.run)
            if planned.state == CellState.DONE and has_transcripts(planned.run.folder):
                tests.setdefault(label, {})[planned.cell.seed] = TestedRun.of(planned.run)

    compared = _comparisons(plan, arm_of, tests)
    record = _record(plan, all_cells, cells, versions)
    return StudyResults(record, cells, compared, curves, drifts)


def _cell_row(arm: ArmPlan, label: str, planned: PlannedCell, run: Run) -> StudyCell:
    """The row of a run."""
    diverged = planned.state == CellState.DIVERGED
    summary = RunSummary() if diverged else run.summary
    settings = run.settings
    kept = kept_of_run(run)
    return StudyCell(
        arm=arm.arm.name,
        label=label,
        seed=planned.cell.seed,
        state=str(planned.state),
        criterion=settings.criterion.name,
        trained=settings.updates.trained,
        auxiliary=settings.criterion.auxiliary,
        shuffling=settings.batches.shuffling,
        replicas=settings.asynchrony.replicas,
        batch=settings.batches.size,
        channel=settings.asynchrony.channel,
        decoder_seconds=_interval(settings),
        learning_rate=settings.updates.learning_rate,
        heldout_mmi=summary.heldout_mmi,
        heldout_wer=summary.heldout_wer,
        frame_error=summary.frame_error,
        test_wer=summary.test_wer,
        test_words=summary.test_words,
        updates=summary.updates,
        seconds=summary.seconds,
        staleness_inner_mean=summary.staleness_inner_mean,
        staleness_outer_mean=summary.staleness_outer_mean,
        staleness_outer_seconds=summary.staleness_outer_seconds,
        kept_mean=kept.mean if kept else None,
        kept_weighted=kept.weighted if kept else None,
        minutes=planned.price.seconds / 60 if planned.price else None,
    )


def _interval(settings: Settings) -> float | None:
    """Seconds between two fetches of the decoders; None if they fetch for each utterance."""
    asynchrony = settings.asynchrony
    timed = asynchrony.decoder_fetch in ("seconds", "synchronous")
    return asynchrony.decoder_seconds if timed else None


def _curve_rows(arm: str, label: str, seed: int, run: Run) -> list[StudyEvaluation]:
    """The evaluations of a run."""
    return [
        StudyEvaluation(
            arm=arm,
            label=label,
            seed=seed,
            epochs=row.epochs,
            updates=row.updates,
            seconds=row.seconds,
            mmi=row.measured.mmi,
            ce=row.measured.ce,
            wer=row.measured.wer,
            frame_error=row.measured.frame_error,
        )
        for row in run.rows(EvaluateRow)
    ]


def _drift_rows(arm: str, label: str, seed: int, run: Run) -> list[StudyDrift]:
    """The drift of a run, thinned evenly over its training to what is kept."""
    points = drift_points(run) if run.settings.measuring.drift_every else []
    chosen = np.linspace(0, len(points) - 1, min(len(points), DRIFTS_KEPT)).round().astype(int)
    return [StudyDrift(arm=arm, label=label, seed=seed, **asdict(points[i])) for i in chosen]


# --- comparisons


def _comparisons(
    plan: StudyPlan, arm_of: dict[str, str], tests: dict[str, dict[int, TestedRun]]
) -> list[StudyComparison]:
    """Each label against the first of its arm, the first of the study, and its start."""
    labels = list(tests)
    starts = _tests_of_starts(plan) if plan.study.starts else {}
    rows = []
    for label in labels:
        arm = arm_of[label]
        first_of_arm = next(other for other in labels if arm_of[other] == arm)
        named = [expected.against for expected in plan.study.expected if expected.label == label]
        wanted = [plan.study.against, labels[0], first_of_arm, *named]
        for against in dict.fromkeys(wanted):
            if against in tests and against != label:
                rows += _comparison(arm, label, against, tests[label], tests[against])

        if arm in starts:
            rows += _comparison(arm, label, START, tests[label], starts[arm])

    return rows


def _comparison(
    arm: str,
    label: str,
    against: str,
    after: dict[int, TestedRun],
    before: dict[int, TestedRun],
) -> list[StudyComparison]:
    """The comparison of two labels over the seeds that both have; none without such seeds."""
    seeds = sorted(set(after) & set(before))
    if not seeds:
        return []
    try:
        found = compare_tested([before[s] for s in seeds], [after[s] for s in seeds])
    except NotComparable:
        return []  # arms on different corpora: there is no comparison to keep

    return [
        StudyComparison(
            arm=arm,
            label=label,
            against=against,
            seeds=len(seeds),
            wer_a=found.wer_a,
            wer_b=found.wer_b,
            standard_error=found.standard_error,
            degrees=found.degrees,
            seed_error=_seed_error([_difference(before[s], after[s]) for s in seeds]),
            words=found.words,
            units=found.units,
            unit=str(found.unit),
            identical=found.identical,
        )
    ]


def _difference(before: TestedRun, after: TestedRun) -> float:
    """By how much the error rate of one run is above that of another."""
    return total_errors(after.errors).wer - total_errors(before.errors).wer


def _seed_error(differences: Sequence[float]) -> float | None:
    """The standard error of the mean over seeds; None for a single one."""
    if len(differences) < 2:
        return None
    return float(np.std(differences, ddof=1) / np.sqrt(len(differences)))


def _tests_of_starts(plan: StudyPlan) -> dict[str, dict[int, TestedRun]]:
    """The tests of what each arm starts from, by arm and seed."""
    by_prefix: dict[str, dict[int, TestedRun]] = {}
    for arm in plan.arms:
        prefix = arm.sweep.prefix_of_runs  # arms with one prefix share their starts
        if prefix not in by_prefix:
            by_prefix[prefix] = _tests_of_start(arm.sweep, plan.seeds)

    return {arm.arm.name: by_prefix[arm.sweep.prefix_of_runs] for arm in plan.arms}


def _tests_of_start(sweep: Sweep, seeds: Sequence[int]) -> dict[int, TestedRun]:
    """The tests of what the cells of a sweep start from, by seed."""
    starts = {seed: find_start(sweep, seed) for seed in seeds}
    return {
        seed: TestedRun.of(run)
        for seed, run in starts.items()
        if run is not None and has_transcripts(run.folder)
    }


# --- what was run, and where


def _record(
    plan: StudyPlan, planned: int, ended: Sequence[StudyCell], versions: str
) -> StudyRecord:
    """The record of a study that was collected now, of whose ``planned`` cells some have ended."""
    corpora = [corpus for arm in plan.arms for corpus in arm.corpora]
    return StudyRecord(
        study=plan.study.name,
        size=plan.size_name,
        command=plan.command,
        seeds=list(dict.fromkeys(cell.seed for cell in ended)),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine_text(),
        versions=versions,
        corpora=[_corpus_text(each) for each in dict.fromkeys(corpora) if corpus_exists(each)],
        cells=planned,
        done=len(ended),
    )


def machine_text() -> str:
    """Return the processor and the number of the computer's cores."""
    processor = this_processor()
    features = ", ".join(processor.recorded)
    return f"{processor.name} ({features}), {os.cpu_count()} cores, {platform.system()}"


def _versions_text(run: Run) -> str:
    """The versions of Python and torch that a run was made with."""
    versions = run.record.versions
    return f"Python {versions.get('python')}, torch {versions.get('torch')}"


def _corpus_text(corpus: CorpusOfSize) -> str:
    """A sentence about the amounts of a corpus."""
    opened = Corpus.open(corpus.name)
    train = opened.split("train")
    test = opened.split("test")
    words = _words_of(test.words)
    voices = len(set(test.speakers))
    return (
        f"{corpus.name}: {train.frames / FRAMES_PER_HOUR:.2f} h of training speech "
        f"({len(train):,} utterances), {opened.states.count} tied states, "
        f"{len(opened.lexicon.words):,} words; test of {len(test):,} utterances, {words:,} words, "
        f"{voices} voices"
    )


def _words_of(texts: Sequence[Sequence[str]]) -> int:
    return sum(len(words) for words in texts)
