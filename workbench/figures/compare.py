"""Runs beside each other: in which settings and versions they differ, and whether their errors differ by luck."""

from collections.abc import Sequence

import pandas as pd

from workbench.metrics.significance import verdict
from workbench.storage.run import Run
from workbench.sweeping.results import compare


def settings_difference(runs: Sequence[Run]) -> pd.DataFrame:
    """Settings, corpora, starting points and versions that are not the same in all runs; one column per run."""
    columns = {}
    for run in runs:
        record = run.record
        parent = record.get("parent") or {}
        about = {"corpus": record["corpus"]["name"], "corpus digest": record["corpus"]["digest"]}
        about |= {"started from": parent.get("run") or parent.get("transfer") or "nothing"}
        about |= {f"version of {k}": v for k, v in record.get("versions", {}).items()}
        columns[run.name] = pd.Series({**record["settings"], **about}, dtype=object)
    table = pd.DataFrame(columns)
    differs = table.astype(str).nunique(axis=1) > 1
    return table[differs]


def pairwise(runs: Sequence[Run]) -> pd.DataFrame:
    """Every two tested runs on the same test set: test WERs, p of the paired bootstrap, and the verdict in words."""
    tested = [r for r in runs if (r.folder / "test.hyp").exists()]
    rows = []
    for i, a in enumerate(tested):
        for b in tested[i + 1 :]:
            if a.record["corpus"] == b.record["corpus"]:
                c = compare([a], [b])
                words = verdict(c.p, c.wer_a, c.wer_b)
                rows.append(
                    {
                        "from": a.name,
                        "to": b.name,
                        "WER %": 100 * c.wer_a,
                        "WER % then": 100 * c.wer_b,
                        "p": c.p,
                    }
                    | {"verdict": words}
                )
    return pd.DataFrame(rows, columns=["from", "to", "WER %", "WER % then", "p", "verdict"])
