"""A sweep on a Dask cluster: its cells are tasks, and their numbers are those of a sweep in one process."""

from pathlib import Path

import pytest

from workbench.prepare.pipeline import Preparation, Source, prepare
from workbench.storage.run import Run
from workbench.sweeping import Sweep, estimate, on_cluster, results, run

pytestmark = [pytest.mark.slow, pytest.mark.dask]


def sweep(name: str) -> Sweep:
    """Two cells of some seconds, and what they start from."""
    quick = {"epochs": 0.5, "evaluate_every": 0.5, "evaluate_utterances": 4}
    return Sweep(
        name, "c", "tiny", quick, {"batch": [32, 64]}, start={"epochs": 1.0, **quick}, test=False
    )


@pytest.mark.filterwarnings("default")  # warnings of Dask are not ours to mend
def test_tasks_of_dask_give_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Side by side on two workers or one after the other here: the same rows, bit for bit; what it took prices more."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    prepare("c", Source(synthetic="is", size="tiny"), Preparation(states=150), jobs=1)
    foretold = estimate(sweep("here"))
    assert "2 kinds rehearsed" in foretold.measured and 0 < foretold.quiet < 5
    with on_cluster("local", 2) as executor:
        assert [c.state for c in run(sweep("there"), 2, executor=executor)] == ["done", "done"]
    assert [c.state for c in run(sweep("here"))] == ["done", "done"]
    here, there = (results(sweep(name)).table for name in ("here", "there"))
    assert here.rows_digest.notna().all() and list(here.rows_digest) == list(there.rows_digest)
    parents = {
        Run(tmp_path / "runs" / name).record["parent"]["run"] for name in [*here.run, *there.run]
    }
    assert len(parents) == 1
    assert estimate(sweep("third")).measured == "from runs of the same kind"
