"""Runs that lose workers, on an executor that fails when told to, equal those that do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import runs
from workbench.engine import Local, Lost, free
from workbench.prepare.corpus import Corpus
from workbench.runs import drive, execution, toy
from workbench.settings import UserError, preset
from workbench.storage.rows import RecoveryRow, Row, TraceRow
from workbench.storage.run import ClusterInfo, Run, RunState, find_run

pytestmark = pytest.mark.slow

SMALL = preset(
    "tiny",
    hidden_layers=1,
    hidden_units=24,
    checkpoint_every=0.5,
    evaluate_every=1.0,
    epochs=3.0,
    replicas=2,
)


@pytest.fixture(scope="module", autouse=True)
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


class Shaky:
    """A cluster that is this thread; ``loses(row number)`` is whether a worker is lost now."""

    def __init__(self, loses: Callable[[int], bool], absent: int = 0):
        self.loses = loses
        self.absent = absent
        self.rows = 0
        self.pid = 1
        self.executor = Local(free, 4)

    def fitted(self, capacity: int, processes: int, places: Any) -> "Shaky":
        """Itself, if its workers are there."""
        if self.pid > 1 and self.absent:
            self.absent -= 1
            raise UserError("3 processes need as many threads, but the cluster has 0")
        return self

    def about(self) -> ClusterInfo:
        """One worker, whose process is another one after each loss."""
        return ClusterInfo("local", "", {"0": 10, "1": self.pid})

    def run(self, processes: Any, services: Any, emit: Callable[[Row], None], **more: Any) -> Any:
        """As Local does, until a loss."""

        def shaken(row: Row) -> None:
            emit(row)
            self.rows += 1
            if self.loses(self.rows):
                self.pid += 1
                raise Lost("lost: somebody")

        return self.executor.run(processes, services, shaken, **more)


def train(name: str, executor: Shaky) -> Run:
    """Train cross entropy on this executor."""
    return runs.train(Corpus.open("tiny"), SMALL, name=name, executor=executor)


@pytest.fixture(scope="module")
def unharmed(corpus: Corpus) -> Run:
    """A run that loses no worker."""
    return train("unharmed", Shaky(lambda n: False))


def untraced(run: Run) -> list[dict[str, Any]]:
    """Return all rows but recoveries and traces, without times, which a recovery changes."""
    kept = []
    for row in run.rows(Row):
        if not isinstance(row, RecoveryRow | TraceRow):
            columns = row.to_dict()
            kept.append({k: v for k, v in columns.items() if "seconds" not in k})
    return kept


def assert_equal(run: Run, unharmed: Run) -> None:
    """Both runs have the same rows in the same order, and the same parameters."""
    assert run.status().state == RunState.DONE
    assert run.summary.parameters_digest == unharmed.summary.parameters_digest
    assert run.summary.updates == run.summary.updates_applied == unharmed.summary.updates
    assert untraced(run) == untraced(unharmed)


def test_a_run_that_lost_workers_equals_one_that_did_not(unharmed):
    """Losses before a checkpoint, after one, and twice in a row change no row of the run."""
    at = {5, 90, 95, 260}
    run = train("shaken", Shaky(lambda n: n in at))
    assert_equal(run, unharmed)
    found = list(run.rows(RecoveryRow))
    assert [row.lost for row in found] == ["worker 1"] * len(at)
    assert found[0].checkpoint == "the start"
    assert len({row.checkpoint for row in found}) > 1
    assert all(row.process == "driver" for row in found)
    assert all(row.updates_undone >= 0 for row in found)
    assert all(row.recovery_seconds >= 0 for row in found)
    seconds = [row.seconds for row in found]
    assert seconds[0] > 0
    assert sorted(seconds) == seconds

    assert "worker 1 lost, back after" in (run.folder / "log.txt").read_text()
    assert not (run.folder / "cluster.json").exists()


@pytest.mark.parametrize("harm", ["flip", "cut"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(unharmed, harm):
    """A recovery passes over a damaged checkpoint, and the run is still the same."""

    def loses(n: int) -> bool:
        if n != 260:
            return False
        run = find_run(f"damaged-{harm}")
        path = run.checkpoints()[-1] / "arrays.safetensors"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data if harm == "flip" else data[:-1])
        return True

    run = train(f"damaged-{harm}", Shaky(loses))
    assert_equal(run, unharmed)
    log = (run.folder / "log.txt").read_text()
    assert "checkpoint passed over" in log and "arrays.safetensors: damaged" in log


def test_it_is_not_tried_for_ever():
    """A run that only loses workers fails, and one line says how often it recovered, where to look
    for the cause, and how to resume it; in a notebook too.
    """
    with pytest.raises(UserError) as failure:
        train("doomed", Shaky(lambda n: n % 20 == 0))
    run = find_run("doomed")
    (line,) = failure.value._render_traceback_()
    assert f"{drive.RECOVERIES} recoveries with no checkpoint in between" in line
    assert f"`workbench train --resume {run.name}`" in line
    assert "what the workers wrote" in line
    assert run.status().state == RunState.FAILED
    assert len(list(run.rows(RecoveryRow))) == drive.RECOVERIES


def test_an_exploration_that_loses_workers_says_what_to_do(monkeypatch):
    """It has no checkpoint, so the notebook is told in one line to run the cell once more."""

    class Losing:
        def __init__(self, client: object, capacity: int):
            pass

        def run(self, *_: object) -> None:
            raise Lost("lost: somebody")

    monkeypatch.setattr("workbench.engine.dask.Cluster", Losing)
    with pytest.raises(UserError, match="run this cell once more") as failure:
        toy.explore_on(None, toy.Exploration(replicas=1))
    (line,) = failure.value._render_traceback_()
    assert "lost: somebody" in line


def test_workers_are_waited_for_but_not_for_ever(unharmed, monkeypatch):
    """Late workers are waited for; without them, the error says how to resume."""
    monkeypatch.setattr(execution, "POLL_SECONDS", 0.01)
    assert_equal(train("late", Shaky(lambda n: n == 150, absent=10)), unharmed)
    monkeypatch.setattr(execution, "RETURN_SECONDS", 0.05)
    with pytest.raises(
        UserError, match=r"did not come back within 0\.05 s.*workbench train --resume never-"
    ):
        train("never", Shaky(lambda n: n == 150, absent=10**6))
    assert find_run("never").status().state == RunState.FAILED
    assert_equal(runs.resume(find_run("never"), executor=Shaky(lambda n: False)), unharmed)


def test_dask_starts_workers_for_as_long_as_a_run_waits():
    """A busy machine needed more than two minutes for a worker, and Dask was still starting it."""
    utils = pytest.importorskip("dask.utils")
    from workbench.engine.dask.local_cluster import LASTING_CONFIG

    allowed = LASTING_CONFIG["distributed.deploy.lost-worker-timeout"]
    assert execution.RETURN_SECONDS >= 600
    assert utils.parse_timedelta(allowed) > 1000 * execution.RETURN_SECONDS


def test_a_stop_is_heard_while_workers_are_waited_for(corpus, unharmed):
    """A run stops while it waits for workers; resumed later, it ends the same."""
    shaky = Shaky(lambda n: n == 150, absent=10**9)
    stopped = runs.train(
        corpus, SMALL, name="stopped", executor=shaky, stop=lambda: shaky.absent < 10**9
    )
    assert stopped.status().state == RunState.STOPPED
    assert_equal(runs.resume(stopped, executor=Shaky(lambda n: False)), unharmed)
