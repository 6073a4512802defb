"""Workers are lost and the run goes on: laws on an executor that fails when told to, so that all can be compared."""

from collections.abc import Callable
from typing import Any

import pytest

from workbench import runs
from workbench.engine import Local, Lost, free
from workbench.prepare import pipeline
from workbench.runs import drive
from workbench.settings import UserError, preset
from workbench.storage.rows import RecoveryRow, Row
from workbench.storage.run import Run, find_run

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
def home(tmp_path_factory):
    """A data folder with the tiny corpus prepared in it."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(folder))
        source = pipeline.Source(synthetic="is", size="tiny")
        pipeline.prepare("tiny", source, pipeline.Preparation(states=150), jobs=1)
        yield folder


class Shaky:
    """Looks like a cluster, and is this thread; ``loses`` says, at each row, whether a worker is lost now."""

    def __init__(self, loses: Callable[[int], bool], absent: int = 0):
        self.loses, self.absent, self.rows, self.pid = loses, absent, 0, 1
        self.executor = Local(free, 4)

    def fitted(self, capacity: int, processes: int, places: Any) -> "Shaky":
        """Itself, if its workers are there."""
        if self.pid > 1 and self.absent:
            self.absent -= 1
            raise UserError("3 processes need as many threads, but the cluster has 0")
        return self

    def about(self) -> dict[str, Any]:
        """One worker, whose process is another one after each loss."""
        return {"address": "local", "dashboard": "", "workers": {"0": 10, "1": self.pid}}

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
    """Cross entropy on it."""
    return runs.train("tiny", SMALL, name=name, executor=executor)


@pytest.fixture(scope="module")
def unharmed(home) -> Run:
    """The run that loses nobody."""
    return train("unharmed", Shaky(lambda n: False))


def without_times(run: Run) -> list[dict]:
    """All rows but the driver's; a recovery takes time, and changes nothing else."""
    return [
        {k: v for k, v in row.to_dict().items() if "seconds" not in k}
        for row in run.rows(Row)
        if not isinstance(row, RecoveryRow)
    ]


def assert_equal(run: Run, unharmed: Run) -> None:
    """The same rows in the same order, the same parameters."""
    assert run.status().state == "done"
    assert run.summary["parameters_digest"] == unharmed.summary["parameters_digest"]
    assert run.summary["updates"] == run.summary["updates_applied"] == unharmed.summary["updates"]
    rows = [without_times(r) for r in (run, unharmed)]
    assert [r for r in rows[0] if r["kind"] != "trace"] == [
        r for r in rows[1] if r["kind"] != "trace"
    ]


def test_a_run_that_lost_workers_equals_one_that_did_not(unharmed):
    """Before the first checkpoint, soon after one, twice in a row: nothing is applied twice, nothing is missing."""
    at = {5, 90, 95, 260}
    run = train("shaken", Shaky(lambda n: n in at))
    assert_equal(run, unharmed)
    found = list(run.rows(RecoveryRow))
    assert [row.lost for row in found] == ["worker 1"] * len(at)
    assert found[0].checkpoint == "the start"
    assert len({row.checkpoint for row in found}) > 1 and all(
        row.process == "driver" for row in found
    )
    assert all(row.updates_undone >= 0 and row.recovery_seconds >= 0 for row in found)
    seconds = [row.seconds for row in found]
    assert seconds[0] > 0 and sorted(seconds) == seconds
    assert "worker 1 lost, back after" in (run.folder / "log.txt").read_text()
    assert not (run.folder / "cluster.json").exists()


@pytest.mark.parametrize("harm", ["flip", "cut"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(unharmed, harm):
    """What a loss finds damaged is passed over; the run is still the same."""

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
    """Losing workers again and again with no checkpoint in between fails the run, which says how often it tried."""
    with pytest.raises(Lost, match=f"{drive.RECOVERIES} recoveries with no checkpoint in between"):
        train("doomed", Shaky(lambda n: n % 20 == 0))
    run = find_run("doomed")
    assert run.status().state == "failed"
    assert len(list(run.rows(RecoveryRow))) == drive.RECOVERIES


def test_workers_are_waited_for_but_not_for_ever(unharmed, monkeypatch):
    """Those that come back late are waited for; if they do not, the error says how to go on, and that works."""
    monkeypatch.setattr(drive, "POLL", 0.01)
    assert_equal(train("late", Shaky(lambda n: n == 150, absent=10)), unharmed)
    monkeypatch.setattr(drive, "RETURN_SECONDS", 0.05)
    with pytest.raises(
        UserError, match=r"did not come back within 0\.05 s.*workbench train --resume never-"
    ):
        train("never", Shaky(lambda n: n == 150, absent=10**6))
    assert find_run("never").status().state == "failed"
    assert_equal(runs.resume("never", executor=Shaky(lambda n: False)), unharmed)


def test_a_stop_is_heard_while_workers_are_waited_for(unharmed):
    """Nobody has to wait for workers in order to stop; resumed later, it ends the same."""
    shaky = Shaky(lambda n: n == 150, absent=10**9)
    with pytest.raises(KeyboardInterrupt):
        runs.train("tiny", SMALL, name="stopped", executor=shaky, stop=lambda: shaky.absent < 10**9)
    assert find_run("stopped").status().state == "stopped"
    assert_equal(runs.resume("stopped", executor=Shaky(lambda n: False)), unharmed)
