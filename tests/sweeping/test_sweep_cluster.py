"""A sweep on a Dask cluster has the numbers of a sweep in one process."""

import shutil
from pathlib import Path

import pytest

from workbench.storage.run import Run
from workbench.sweeping import Sweep, cluster_executor, estimate_sweep, read_results, run_sweep

pytestmark = [pytest.mark.slow, pytest.mark.dask]


def sweep(name: str) -> Sweep:
    """Two cells of some seconds, and what they start from."""
    quick = {"epochs": 0.5, "evaluate_every": 0.5, "evaluate_utterances": 4}
    return Sweep(
        name, "c", "tiny", quick, {"batch": [32, 64]}, start={"epochs": 1.0, **quick}, test=False
    )


@pytest.mark.filterwarnings("default")  # warnings of Dask are not ours to mend
def test_tasks_of_dask_give_the_same_numbers(
    prepared_tiny: Path,
    tmp_path: Path,
    short_rehearsals: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers give the same rows, bit for bit, as one process; their prices are known then."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    shutil.copytree(prepared_tiny, tmp_path / "corpora" / "c")
    foretold = estimate_sweep(sweep("here"))
    assert "2 kinds rehearsed" in foretold.measured
    assert 0 < foretold.quiet < 5

    with cluster_executor("local", 2) as executor:
        assert [c.state for c in run_sweep(sweep("there"), 2, executor=executor)] == [
            "done",
            "done",
        ]
    assert [c.state for c in run_sweep(sweep("here"))] == ["done", "done"]

    here = read_results(sweep("here")).table
    there = read_results(sweep("there")).table
    assert here.rows_digest.notna().all()
    assert list(here.rows_digest) == list(there.rows_digest)
    parents = {Run(tmp_path / "runs" / name).record.parent_run for name in [*here.run, *there.run]}
    assert len(parents) == 1
    assert estimate_sweep(sweep("third")).measured == "from runs of the same kind"
