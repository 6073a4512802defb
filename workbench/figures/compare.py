"""Tables that compare runs: different settings and versions, and verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from workbench.metrics.significance import Comparison
from workbench.metrics.tested import NotComparable, TestedRun, compare_tested
from workbench.metrics.verdicts import MARGIN, Verdict, judge_all
from workbench.storage.run import Run
from workbench.storage.transcripts import has_transcripts

PAIR_COLUMNS = ["from", "to", "WER %", "WER % then", "speakers", "p", "verdict"]


def settings_difference(runs: Sequence[Run]) -> pd.DataFrame:
    """Return what differs between runs, one column per run.

    Rows: settings, corpora, starting points and versions.
    """
    table = pd.DataFrame({run.name: _description(run) for run in runs})
    differs = table.astype(str).nunique(axis=1) > 1
    return table[differs]


def _description(run: Run) -> pd.Series:
    record = run.record
    parent = record.parent
    entries = {
        **record.settings,
        "corpus": record.corpus.name,
        "corpus digest": record.corpus.digest,
        "started from": (parent.run or parent.transfer if parent else None) or "nothing",
        **{f"version of {package}": version for package, version in record.versions.items()},
    }

    return pd.Series(entries, dtype=object)


@dataclass(frozen=True)
class Pair:
    """Two tested runs and their comparison, or the reason why there is none."""

    before: str
    after: str
    comparison: Comparison | None
    reason: str = ""


def pairwise(runs: Sequence[Run], margin: float = MARGIN) -> pd.DataFrame:
    """Return a comparison of every two runs that were tested.

    Columns: the names of both, both test WERs in percent, the number of speakers (or of utterances,
    where nobody knows the speakers), p corrected by Holm's method for the number of pairs, and the
    verdict in words. ``margin``: the difference that still counts as equivalent, a fraction.
    """
    tested = [TestedRun.of(run) for run in runs if has_transcripts(run.folder)]
    pairs = [_compared(a, b) for a, b in combinations(tested, 2)]
    verdicts = iter(judge_all([pair.comparison for pair in pairs if pair.comparison], margin))
    rows = [_pair_row(pair, next(verdicts) if pair.comparison else None) for pair in pairs]
    return pd.DataFrame(rows, columns=PAIR_COLUMNS)


def _compared(a: TestedRun, b: TestedRun) -> Pair:
    try:
        return Pair(a.name, b.name, compare_tested([a], [b]))
    except NotComparable as reason:
        return Pair(a.name, b.name, None, str(reason))


def _pair_row(pair: Pair, verdict: Verdict | None) -> dict[str, str | float | None]:
    """The row of one pair in `pairwise`."""
    names: dict[str, str | float | None] = {"from": pair.before, "to": pair.after}
    if pair.comparison is None or verdict is None:
        return {**names, "verdict": f"not comparable: {pair.reason}"}
    return {
        **names,
        "WER %": 100 * pair.comparison.wer_a,
        "WER % then": 100 * pair.comparison.wer_b,
        "speakers": pair.comparison.units,
        "p": verdict.p,
        "verdict": str(verdict),
    }
