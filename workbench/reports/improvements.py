"""What training made of the runs that it started from: their test WERs and the verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from workbench.metrics.significance import Comparison
from workbench.metrics.tested import compare_runs, comparison_with_parent
from workbench.metrics.verdicts import MARGIN, judge
from workbench.settings import UserError
from workbench.storage.run import Run

NOT_COMPARED = "tested before comparisons were kept; test the run again"


@dataclass(frozen=True)
class Improvement:
    """Test WERs (fractions) of a run and its parent, and their comparison.

    Without one, ``reason`` says why.
    """

    run: str
    parent: str
    before: float
    after: float
    comparison: Comparison | None
    reason: str


def change_text(before: float, after: float) -> str:
    """Return two word error rates, and by how much of the first there are fewer or more errors."""
    text = f"{100 * before:.1f} → {100 * after:.1f} %"
    if not before or before == after:
        return text
    share = 100 * abs(before - after) / before
    return f"{text} ({share:.1f} % {'fewer' if after < before else 'more'} errors)"


def verdict_sentences(runs: Sequence[Run], margin: float = MARGIN) -> list[str]:
    """Return one sentence per run that was tested, as was the run that it started from.

    Runs that differ only in their seeds have a further one for all of them.
    """
    found = improvements(runs)
    sentences = []
    for improvement in [*found, *improvements_over_seeds(runs, found)]:
        change = change_text(improvement.before, improvement.after)
        beginning = f"{improvement.run} against {improvement.parent}: test WER {change}"
        sentences.append(f"{beginning}, {_verdict_text(improvement, margin)}.")

    return sentences


def _verdict_text(improvement: Improvement, margin: float) -> str:
    """The verdict on a run and the smallest difference that its test could find."""
    comparison = improvement.comparison
    if comparison is None:
        return f"not comparable: {improvement.reason}"
    verdict = judge(comparison, margin)
    if verdict.detectable is None:
        return str(verdict)
    return (
        f"{verdict} ({comparison.units} {comparison.unit}; a difference of "
        f"{100 * verdict.detectable:.2g} % absolute would be found four times in five)"
    )


def improvements(runs: Sequence[Run]) -> list[Improvement]:
    """Return the test WERs of each run that started from another one of these, if tested."""
    summaries = {run.name: run.summary for run in runs}
    found = []
    for run in runs:
        parent = run.record.parent_run
        if parent is None or parent not in summaries:
            continue
        before = summaries[parent].test_wer
        after = summaries[run.name].test_wer
        if before is not None and after is not None:
            comparison = comparison_with_parent(run)
            reason = summaries[run.name].not_compared or NOT_COMPARED
            found.append(Improvement(run.name, parent, before, after, comparison, reason))

    return found


def improvements_over_seeds(runs: Sequence[Run], found: Sequence[Improvement]) -> list[Improvement]:
    """Return one improvement for each group of ``found`` that differ in nothing but their seeds.

    The errors of each test utterance are added up over the seeds, and speakers are drawn.
    """
    by_name = {run.name: run for run in runs}
    groups: dict[tuple[str, str, str], dict[int, Improvement]] = {}
    for improvement in found:
        run = by_name[improvement.run]
        after = run.settings.digest(without=("seed",))
        before = by_name[improvement.parent].settings.digest(without=("seed",))
        group = groups.setdefault((run.record.corpus.name, before, after), {})
        group.setdefault(run.settings.seed, improvement)  # a run that was trained twice counts once

    return [_joined(by_name, [*group.values()]) for group in groups.values() if len(group) > 1]


def _joined(by_name: Mapping[str, Run], group: Sequence[Improvement]) -> Improvement:
    """The improvement over all of a group, which differ only in their seeds."""
    before = [by_name[each.parent] for each in group]
    after = [by_name[each.run] for each in group]
    comparison = None
    reason = ""
    try:
        comparison = compare_runs(before, after)
    except UserError as problem:  # other test sets, or transcripts that are gone
        reason = str(problem)

    seeds = "both seeds" if len(group) == 2 else f"all {len(group)} seeds"
    return Improvement(
        run=f"{seeds}: {after[0].settings.criterion.name}",
        parent=before[0].settings.criterion.name,
        before=fmean(each.before for each in group),
        after=fmean(each.after for each in group),
        comparison=comparison,
        reason=reason,
    )
