"""Replay: a recorded run repeated in this thread, to the same parameters.

Calls are made in the recorded order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.engine import Deadlock, Held, Local
from workbench.engine.trace import Difference, Trace, read_traces, wrap_for_replay
from workbench.model.threads import one_thread
from workbench.progress import Progress, no_progress
from workbench.runs.record import parameters_digest
from workbench.runs.train import experiment_of
from workbench.runs.wiring import Experiment
from workbench.settings import UserError
from workbench.storage.rows import DivergenceRow, PushRow, Row, TraceRow
from workbench.storage.run import Run, RunState
from workbench.training import ComponentState, ParameterServer, component_states

UNBOUNDED = 10**9  # a capacity that no channel reaches: who waited is in the record
PROGRESS_PUSHES = 20  # between two reports


@dataclass(frozen=True)
class Replay:
    """A replay that came to the parameters of the run."""

    run: str
    segments: int
    calls: int  # to the parameter server, in their order
    compared: int  # digests of the server on the way
    updates: int
    parameters_digest: str

    def __str__(self) -> str:
        return (
            f"{self.run}: replayed {self.updates} updates, {self.calls} calls "
            f"in {self.segments} segments; {self.compared} digests on the way "
            f"and the parameters ({self.parameters_digest}) are the same"
        )


@dataclass(frozen=True)
class RecordedRun:
    """What a run has recorded of its schedule."""

    traces: Mapping[int, Trace]  # by segment
    divergences: Sequence[DivergenceRow]
    pushes: int

    def halvings(self, segment: int) -> int:
        """Return how often the learning rate had been halved when a segment began."""
        return max((row.halvings for row in self.divergences if row.segment <= segment), default=0)


class _PushCounter:
    """Takes the rows of a replay, and reports how many of the pushes have been repeated."""

    def __init__(self, run: str, total: int, progress: Progress):
        self.what = f"replaying {run}, pushes"
        self.total = total
        self.progress = progress
        self.pushes = 0

    def __call__(self, row: Row) -> None:
        if isinstance(row, PushRow):
            self.pushes += 1
            if self.pushes % PROGRESS_PUSHES == 0:
                self.progress(self.pushes, self.total, self.what)


@one_thread()
def replay(run: Run, progress: Progress | None = None) -> Replay:
    """Repeat a recorded run; UserError names the first difference, if there is one."""
    recording = recording_of(run)
    experiment = experiment_of(run)
    emit = _PushCounter(run.name, recording.pushes, progress or no_progress)
    services = replay_segments(run.name, experiment, recording, emit)

    digest = parameters_digest(experiment.shards.collect(services))
    recorded_digest = run.summary.parameters_digest
    if digest != recorded_digest:
        raise UserError(
            f"{run.name}: no call differs, but the parameters do: {digest}, not {recorded_digest}"
        )

    orders = [order for trace in recording.traces.values() for order in trace.orders.values()]
    return Replay(
        run=run.name,
        segments=len(recording.traces),
        calls=sum(len(order) for order in orders),
        compared=sum(bool(turn.digest) for order in orders for turn in order),
        updates=services["server 0"].version,
        parameters_digest=digest,
    )


def replay_segments(
    name: str, experiment: Experiment, recording: RecordedRun, emit: _PushCounter
) -> dict[str, ParameterServer]:
    """Repeat all segments of the run ``name``; return the services as they are at the end."""
    services = experiment.services()
    states: dict[str, ComponentState] = {}
    channels: dict[str, Held] | None = None
    ticks = 0
    executor = Local(capacity=UNBOUNDED)
    for segment, trace in recording.traces.items():
        for service in services.values():
            service.halvings = recording.halvings(segment)
        makers, replayed = wrap_for_replay(experiment.processes(states), services, trace)
        try:
            outcome = executor.run(makers, replayed, emit, channels=channels, ticks=ticks)
        except (Difference, Deadlock) as error:
            raise UserError(f"{name}: the replay differs in segment {segment}: {error}") from error
        states = component_states(outcome.returned)
        channels = outcome.channels
        ticks = outcome.ticks
        services = {service: wrapped.service for service, wrapped in replayed.items()}

    return services


def recording_of(run: Run) -> RecordedRun:
    """Return the record of a run.

    UserError if it was not recorded, or has neither ended nor been stopped.
    """
    state = run.status().state
    if not run.record.recorded:
        raise UserError(f"{run.name}: was not recorded; train with --record, or on a cluster")
    if state not in (RunState.DONE, RunState.STOPPED):
        raise UserError(f"{run.name}: is {state}; a run is replayed when it is done or stopped")
    try:
        traces = read_traces(run.rows(TraceRow))
    except ValueError as error:
        raise UserError(f"{run.name}: {error}") from None

    divergences = list(run.rows(DivergenceRow))
    return RecordedRun(traces, divergences, sum(1 for _ in run.rows(PushRow)))
