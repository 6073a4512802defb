"""Several sweeps that are run as one queue."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_sweeps import Outcomes, small

from workbench.runs import stop
from workbench.settings import UserError
from workbench.storage.lock import hold_lock
from workbench.sweeping import CellState, PlannedCell, Sweep, request_stop, run_sweeps
from workbench.sweeping import run as running


def single(name: str, **changes) -> Sweep:
    """A sweep of one cell."""
    return small(**{"name": name, "axes": {"shuffling": ["none"]}, "seeds": [0], **changes})


class Held:
    """An executor whose cells end together, when all slots are busy or nothing else waits."""

    def __init__(self) -> None:
        self.outcomes = Outcomes()
        self.together: list[list[str]] = []
        self.open: list[tuple[Future, tuple]] = []

    def submit(self, *given) -> Future:
        """As ``concurrent.futures`` has it."""
        future: Future = Future()
        self.open.append((future, given))
        return future

    def end_all(self, *progress: object) -> None:
        """End what is under way; a `Progress`, which is told when no other cell can begin."""
        if self.open:
            self.together.append([given[1].name for _, given in self.open])
        for future, given in self.open:
            future.set_result(self.outcomes.submit(*given).result())
        self.open = []


@contextmanager
def impatient() -> Iterator[None]:
    """Cells that are under way are not waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "FUTURE_POLL_SECONDS", 0.0)
        yield


def states(by_sweep: list[list[PlannedCell]]) -> list[list[CellState]]:
    """The states of the cells of each sweep."""
    return [[planned.state for planned in cells] for cells in by_sweep]


def test_sweeps_of_one_cell_keep_two_processes_busy(data_folder: Path) -> None:
    """Two jobs work on two sweeps, although neither has a second cell."""
    held = Held()
    sweeps = [single("a", run_prefix="a"), single("b", run_prefix="b")]
    with impatient():
        ended = run_sweeps(sweeps, 2, executor=held, progress=held.end_all)
    assert held.together == [["a", "b"]]
    assert states(ended) == [[CellState.DONE], [CellState.DONE]]


def test_a_run_that_two_sweeps_share_is_trained_by_one_at_a_time(data_folder: Path) -> None:
    """The second cell waits for the first, while a third one takes its slot."""
    held = Held()
    shared = [single("a", run_prefix="both"), single("b", run_prefix="both")]
    with impatient():
        ended = run_sweeps([*shared, single("c")], 2, executor=held, progress=held.end_all)
    assert held.together == [["a", "c"], ["b"]]
    assert states(ended) == [[CellState.DONE]] * 3


def test_a_stop_of_one_sweep_holds_for_all(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No further cell begins, whichever sweep was asked."""
    monkeypatch.setattr(stop, "POLL_SECONDS", 0.0)

    class Stopping(Outcomes):
        def submit(self, *given) -> Future:
            request_stop(single("c"))
            return super().submit(*given)

    sweeps = [single(name, run_prefix=name) for name in ("a", "b", "c")]
    ended = run_sweeps(sweeps, executor=Stopping())
    assert states(ended) == [[CellState.DONE], [CellState.MISSING], [CellState.MISSING]]


def test_a_sweep_that_another_process_runs_is_refused_before_any_begins(data_folder: Path) -> None:
    """None of the sweeps is touched then, and the others are free again."""
    outcomes = Outcomes()
    sweeps = [single("a"), single("b")]
    with (
        hold_lock(sweeps[1].folder / running.LOCK, wait=False),
        pytest.raises(UserError, match=r"b: process \d+ is running this sweep"),
    ):
        run_sweeps(sweeps, executor=outcomes)
    assert not outcomes.asked
    assert states(run_sweeps(sweeps[:1], executor=outcomes)) == [[CellState.DONE]]
