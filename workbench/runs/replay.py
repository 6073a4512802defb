"""Replay: a recorded run done again in this thread, call by call in the recorded order, to the same parameters."""

from dataclasses import dataclass
from typing import Any

from workbench.engine import Deadlock, Local
from workbench.engine.trace import Difference, Trace, read_traces, wrap_for_replay
from workbench.progress import Progress
from workbench.runs.record import parameters_digest
from workbench.runs.train import experiment_of
from workbench.settings import UserError
from workbench.storage.rows import PushRow, Row, TraceRow
from workbench.storage.run import Run, RunState

EVER = 10**9  # a capacity of channels that is never reached: who waited is in the record


@dataclass(frozen=True)
class Replay:
    """What a replay found: the parameters' digest is that of the run, or it would not have come to its end."""

    run: str
    segments: int
    calls: int  # of the parameter server, in their order
    compared: int  # digests of the server on the way
    updates: int
    parameters_digest: str

    def __str__(self) -> str:
        return (
            f"{self.run}: replayed {self.updates} updates, {self.calls} calls in {self.segments} segments; "
            f"{self.compared} digests on the way and the parameters ({self.parameters_digest}) are the same"
        )


def replay(run: Run, progress: Progress | None = None) -> Replay:
    """Do a recorded run again; UserError names the first difference, if there is one."""
    traces, total = recorded_segments(run)
    experiment = experiment_of(run)
    services: dict[str, Any] = experiment.services()
    states: dict[str, Any] = {}
    channels, ticks, pushes = None, 0, 0

    def emit(row: Row) -> None:
        nonlocal pushes
        if not isinstance(row, PushRow):
            return
        pushes += 1
        if progress and pushes % 20 == 0:
            progress(pushes, total, f"replaying {run.name}, pushes")

    for segment, trace in traces.items():
        makers, again = wrap_for_replay(experiment.processes(states), services, trace)
        try:
            outcome = Local(capacity=EVER).run(makers, again, emit, channels=channels, ticks=ticks)
        except (Difference, Deadlock) as problem:
            raise UserError(
                f"{run.name}: the replay differs in segment {segment}: {problem}"
            ) from problem
        states, channels, ticks = outcome.returned, outcome.channels, outcome.ticks
        services = {service: replayed.service for service, replayed in again.items()}
    found, known = (
        parameters_digest(experiment.shards.collect(services)),
        run.summary.get("parameters_digest"),
    )
    if found != known:
        raise UserError(f"{run.name}: no call differs, but the parameters do: {found}, not {known}")
    answers = [
        answer for trace in traces.values() for order in trace.orders.values() for answer in order
    ]
    compared = sum(bool(of) for _, of in answers)
    return Replay(
        run.name, len(traces), len(answers), compared, services["server 0"].version, found
    )


def recorded_segments(run: Run) -> tuple[dict[int, Trace], int]:
    """The record of a run that has ended or rests, and the number of its pushes."""
    state = run.status().state
    if not run.record.get("recorded"):
        raise UserError(f"{run.name}: was not recorded; train with --record, or on a cluster")
    if state not in (RunState.DONE, RunState.STOPPED):
        raise UserError(f"{run.name}: is {state}; a run is replayed when it is done or stopped")
    try:
        return read_traces(run.rows(TraceRow)), sum(1 for _ in run.rows(PushRow))
    except ValueError as problem:
        raise UserError(f"{run.name}: {problem}") from None
