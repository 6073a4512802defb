"""Tables that compare runs: different settings and versions, and significance."""

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from workbench.metrics.significance import verdict
from workbench.storage.run import Run
from workbench.sweeping.results import compare_runs


def settings_difference(runs: Sequence[Run]) -> pd.DataFrame:
    """Returns what differs between runs, one column per run.

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


def pairwise(runs: Sequence[Run]) -> pd.DataFrame:
    """Returns a comparison of every two runs that were tested on the same corpus.

    Columns: the names of both, both test WERs in percent, p of the paired bootstrap, and the
    verdict in words.
    """
    tested = [run for run in runs if (run.folder / "test.hyp").exists()]
    rows = []
    for a, b in combinations(tested, 2):
        if a.record.corpus != b.record.corpus:
            continue
        comparison = compare_runs([a], [b])
        rows.append(
            {
                "from": a.name,
                "to": b.name,
                "WER %": 100 * comparison.wer_a,
                "WER % then": 100 * comparison.wer_b,
                "p": comparison.p,
                "verdict": verdict(comparison.p, comparison.wer_a, comparison.wer_b),
            }
        )

    return pd.DataFrame(rows, columns=["from", "to", "WER %", "WER % then", "p", "verdict"])
