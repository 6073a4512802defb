"""Kill and stop random components of real runs, and check that each work item counts exactly once.

    PYTHONPATH=tests python tests/faults/kill_components.py --faults 100

Prepares the tiny corpus in a folder of its own, and trains it on local clusters. While a run lasts,
random components get a random signal: a worker is killed, a worker is stopped and never goes on,
all workers are killed, or the process that drives the run, or everything at once; then the run is
resumed from the command line. A run that ends is compared with its own settings: every push of
every replica was applied once, none is missing, and the frames of the corpus were visited as often
as there are epochs. The script prints the seed of every run, each fault, and how long it took to be
noticed and mended; it fails if an item counts twice or not at all, if a run does not end, or if a
fault did not take place.

Limits are in the run's own time (`own_time`), in which waiting for a processor does not count, so
that a busy machine is not taken for a run that stands still. A run that exceeds its limit of wall
time before that is ended and proves nothing: it is *undecided*, the exit code is 2, and its faults
do not count towards those that were asked for.
"""

import argparse
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from own_time import OwnTime

from workbench.storage.rows import PushRow, RecoveryRow
from workbench.storage.run import Run, RunState, all_runs
from workbench.system.processes import process_stat

PREPARE = ["prepare", "tiny", "--synthetic", "is", "--size", "tiny", "--states", "150"]
SETTINGS = [
    "hidden_layers=1",
    "hidden_units=64",
    "epochs=60",
    "batch=16",
    "learning_rate=0.002",
    "evaluate_every=5",
    "checkpoint_every=2",
    "patience=100",
]
FAULT_SECONDS = 300.0  # of a run's own time in which it gets faults
STILL_SECONDS = 240.0  # own time after which a run that writes no row is said to stand still
MEND_SECONDS = 60.0  # own time within which a fault must have been mended
BUSY_MACHINE = 10  # times as much wall time may pass before the script gives up
POLL_SECONDS = 0.02
LOOK_SECONDS = 0.2  # between looks at how long processes waited for a processor
WRONG = 1  # exit codes
UNDECIDED = 2


class Waited(Enum):
    """How waiting for something ended."""

    HAPPENED = auto()
    OVERDUE = auto()  # it did not happen in time: a fault
    UNDECIDED = auto()  # the limit of wall time came first: the machine is too busy to tell


class Delay(NamedTuple):
    """The seconds that something took."""

    wall: float
    own: float


@dataclass
class Findings:
    """What was seen over all runs."""

    fired: Counter[str] = field(default_factory=Counter)
    checked: int = 0  # faults of runs that ended, and in which every item was looked at
    noticed: dict[str, list[Delay]] = field(default_factory=lambda: defaultdict(list))
    mended: dict[str, list[Delay]] = field(default_factory=lambda: defaultdict(list))
    resumed: list[float] = field(default_factory=list)  # processor seconds to the first new row
    faults: list[str] = field(default_factory=list)  # what was wrong
    undecided: list[str] = field(default_factory=list)  # what a busy machine left open


class Training:
    """A run on a local cluster, driven by the command line, which can be resumed."""

    def __init__(self, data: Path, name: str, criterion: str, replicas: int, seed: int):
        self.data = data
        self.name = name
        self.log = open(data / f"{name}.txt", "a")  # noqa: SIM115  as long as the run
        self.time = OwnTime(lambda: [self.driver.pid, *self.workers])
        self.looked = 0.0
        changes = [*SETTINGS, f"replicas={replicas}", f"seed={seed}"]
        self.start(
            *("train", "tiny", "--preset", "tiny", "--cluster", "local", "--name", name),
            *("--criterion", criterion, "--set", *changes),
        )

    def start(self, *arguments: str) -> None:
        """Start the command that drives the run."""
        self.driver = subprocess.Popen(
            [sys.executable, "-m", "workbench", *arguments],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "WORKBENCH_DATA": str(self.data)},
            start_new_session=True,
        )

    def resume(self) -> None:
        """Resume the run after its driver was killed."""
        run = self.run
        if run is None:
            raise RuntimeError(f"{self.name}: was killed before it had a folder")
        self.start("train", "--resume", run.name, "--cluster", "local")

    @property
    def run(self) -> Run | None:
        """The run, once it has a folder."""
        return next((r for r in all_runs(self.data / "runs") if r.name.startswith(self.name)), None)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers of now."""
        run = self.run
        cluster = run.cluster if run else None
        return [pid for pid in cluster.workers.values() if exists(pid)] if cluster else []

    @property
    def written(self) -> int:
        """How many bytes of rows the replicas have written."""
        files = self.run.folder.glob("rows-replica*.jsonl") if self.run else []
        return sum(path.stat().st_size for path in files)

    @property
    def recoveries(self) -> list[RecoveryRow]:
        """The run's returns to a checkpoint because of a loss."""
        return list(self.run.rows(RecoveryRow)) if self.run else []

    @property
    def ended(self) -> bool:
        """Whether the command has ended."""
        return self.driver.poll() is not None

    def own_seconds(self) -> float:
        """Return the own time of the run until now, give or take `LOOK_SECONDS`."""
        if time.monotonic() - self.looked > LOOK_SECONDS:
            self.time.look()
            self.looked = time.monotonic()
        return self.time.moments[-1].own

    def delay(self, began: float, ended: float) -> Delay:
        """Return how long a stretch of wall time was."""
        self.time.look()
        return Delay(ended - began, self.time.at(ended) - self.time.at(began))

    def wait_until(self, what: Callable[[], bool], seconds: float) -> Waited:
        """Wait until ``what`` is so, for so many seconds of the run's own time at most."""
        until = self.own_seconds() + seconds
        wall_until = time.monotonic() + BUSY_MACHINE * seconds
        while not what():
            if self.own_seconds() > until:
                return Waited.OVERDUE
            if time.monotonic() > wall_until:
                return Waited.UNDECIDED
            time.sleep(POLL_SECONDS)
        return Waited.HAPPENED


def exists(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    stat = process_stat(pid)
    return stat is not None and stat.state != "Z"


# --- faults: each returns what it did to which processes


def kill_one(training: Training, draw: random.Random) -> list[int]:
    """Kill one worker."""
    return strike([draw.choice(training.workers)], signal.SIGKILL)


def stop_one(training: Training, draw: random.Random) -> list[int]:
    """Stop one worker for good."""
    return strike([draw.choice(training.workers)], signal.SIGSTOP)


def kill_all_workers(training: Training, draw: random.Random) -> list[int]:
    """Kill all workers at once."""
    return strike(training.workers, signal.SIGKILL)


def kill_twice(training: Training, draw: random.Random) -> list[int]:
    """Kill one worker, and the next one while the run recovers."""
    first = kill_one(training, draw)
    time.sleep(draw.uniform(0, 3))
    left = training.workers
    return first + (strike([draw.choice(left)], signal.SIGKILL) if left else [])


def pause_driver(training: Training, draw: random.Random) -> list[int]:
    """Stop the process that drives the run, with its scheduler, for some seconds."""
    struck = strike([training.driver.pid], signal.SIGSTOP)
    time.sleep(draw.uniform(1, 12))
    strike(struck, signal.SIGCONT)
    return struck


def kill_driver(training: Training, draw: random.Random) -> list[int]:
    """Kill the process that drives the run."""
    return strike([training.driver.pid], signal.SIGKILL)


def kill_everything(training: Training, draw: random.Random) -> list[int]:
    """Kill the driver and all workers."""
    return strike([training.driver.pid, *training.workers], signal.SIGKILL)


def strike(pids: list[int], number: signal.Signals) -> list[int]:
    """Send a signal to each process."""
    for pid in pids:
        os.kill(pid, number)
    return pids


WORKER_FAULTS = (kill_one, kill_one, kill_one, stop_one, stop_one, kill_all_workers, kill_twice)
DRIVER_FAULTS = (kill_driver, kill_everything)
PAUSES = (pause_driver,)


def hurt(training: Training, draw: random.Random, measured: Findings) -> bool:
    """Do one random fault to the run, and wait until it is mended; False if that is undecided."""
    fault = draw.choice([*WORKER_FAULTS, *DRIVER_FAULTS, *PAUSES])
    kind = fault.__name__
    recoveries = len(training.recoveries)
    began = time.time()
    struck = fault(training, draw)
    measured.fired[kind] += 1

    waited = Waited.HAPPENED
    if fault in DRIVER_FAULTS:
        waited = resume_after(training, kind, began, measured)
    elif fault in WORKER_FAULTS:
        waited = training.wait_until(
            lambda: len(training.recoveries) > recoveries or training.ended, MEND_SECONDS
        )
        found = training.recoveries[recoveries:]
        if found:
            # The log is written at once; rows become visible up to half a second later.
            written = (training.run.folder / "log.txt").stat().st_mtime
            if len(found) == 1:
                noticed = written - found[0].recovery_seconds
                measured.noticed[kind].append(training.delay(began, noticed))
            measured.mended[kind].append(training.delay(began, written))
        if found and any(exists(pid) for pid in struck) and not training.ended:
            measured.faults.append(f"{training.name}: {kind}: {struck} still exist")

    if waited == Waited.OVERDUE:
        measured.faults.append(f"{training.name}: {kind} was not mended")
    taken = training.delay(began, time.time())
    print(
        f"  {taken.wall:6.1f} s ({taken.own:5.1f} own)  {kind} {struck} {waited.name}", flush=True
    )
    return waited != Waited.UNDECIDED


def resume_after(training: Training, kind: str, began: float, measured: Findings) -> Waited:
    """Resume a run whose driver was killed, and wait for its first new row."""
    training.driver.wait()
    orphans = training.workers
    if training.wait_until(lambda: not any(exists(pid) for pid in orphans), 10) == Waited.OVERDUE:
        measured.faults.append(f"{training.name}: {kind}: workers {orphans} outlive their driver")

    before = training.written
    training.resume()
    waited = training.wait_until(lambda: training.written > before or training.ended, MEND_SECONDS)
    if waited == Waited.HAPPENED:
        measured.resumed.append(processor_seconds(training.driver.pid))
        measured.mended[kind].append(training.delay(began, time.time()))
    return waited


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process so far; 0 if it has ended."""
    stat = process_stat(pid)
    return stat.ticks / os.sysconf("SC_CLK_TCK") if stat else 0.0


def faults_of(run: Run, epoch_frames: int) -> list[str]:
    """Return what is wrong with a run that has ended; nothing if every item counts once."""
    found = []
    if run.status().state != RunState.DONE:
        return [f"{run.name}: ended as {run.status()}"]

    pushes = list(run.rows(PushRow))
    items = Counter((row.replica, row.step) for row in pushes)
    twice = [item for item, count in items.items() if count > 1]
    steps = Counter(row.replica for row in pushes)
    holes = [
        (replica, step)
        for replica, count in steps.items()
        for step in range(count)
        if (replica, step) not in items
    ]
    frames = sum(row.frames for row in pushes)
    wanted = round(epoch_frames * run.settings.batches.epochs)
    if twice or holes:
        found.append(f"{run.name}: twice {twice[:3]}, never {holes[:3]}")
    if any(row.status != "applied" for row in pushes):
        found.append(f"{run.name}: pushes that were not applied")
    if run.summary.updates_applied != len(pushes):
        found.append(f"{run.name}: {len(pushes)} rows, {run.summary.updates_applied} updates")
    if frames > wanted or frames < wanted - epoch_frames:
        found.append(f"{run.name}: {frames} frames visited in place of {wanted}")
    return found


def one_run(data: Path, number: int, seed: int, epoch_frames: int, measured: Findings) -> None:
    """Train a run with faults to its end, and check it."""
    draw = random.Random(seed)
    replicas = draw.choice([2, 3, 4])
    criterion = draw.choice(["ce", "mmi"])
    wanted = draw.randint(3, 6)
    print(f"run {number}: seed {seed}, {criterion}, {replicas} replicas", flush=True)
    training = Training(data, f"f{number}", criterion, replicas, seed)

    applied = 0
    decided = True
    while decided and applied < wanted and not training.ended:
        if training.own_seconds() > FAULT_SECONDS:
            break
        ready = training.wait_until(
            lambda: bool(training.workers and training.written) or training.ended, MEND_SECONDS
        )
        decided = ready != Waited.UNDECIDED
        time.sleep(draw.uniform(0, 4))
        if ready == Waited.HAPPENED and training.workers and not training.ended:
            decided = hurt(training, draw, measured)
            applied += 1

    last = Waited.HAPPENED
    while decided and not training.ended and last == Waited.HAPPENED:
        last = wait_for_a_row(training)
    conclude(training, last if decided else Waited.UNDECIDED, seed, applied, epoch_frames, measured)


def conclude(
    training: Training,
    last: Waited,
    seed: int,
    applied: int,
    epoch_frames: int,
    measured: Findings,
) -> None:
    """Check a run that has ended, or say why there is nothing to check."""
    if not training.ended:
        found = measured.undecided if last == Waited.UNDECIDED else measured.faults
        found.append(f"{training.name}: writes nothing any more (seed {seed}, {last.name})")
        training.driver.kill()
        training.driver.wait()
    elif training.run is None:
        measured.faults.append(f"{training.name}: has no folder (seed {seed})")
    else:
        measured.faults += faults_of(training.run, epoch_frames)
        measured.checked += applied


def wait_for_a_row(training: Training) -> Waited:
    """Wait until a run writes rows or ends."""
    before = training.written
    return training.wait_until(lambda: training.ended or training.written != before, STILL_SECONDS)


def tell(measured: Findings, runs: int) -> None:
    """Print what was measured."""
    print(
        f"\n{sum(measured.fired.values())} faults in {runs} runs, "
        f"{measured.checked} of them in runs that ended: {dict(measured.fired)}"
    )
    for title, by_kind in (("noticed", measured.noticed), ("mended", measured.mended)):
        for kind, delays in by_kind.items():
            own = [delay.own for delay in delays]
            wall = [delay.wall for delay in delays]
            print(
                f"{title:8} {kind:18} {len(delays):4} times: "
                f"own time median {statistics.median(own):.2f} s, most {max(own):.2f} s; "
                f"wall {statistics.median(wall):.2f} s, {max(wall):.2f} s"
            )
    if measured.resumed:
        print(f"resumed after {max(measured.resumed):.1f} s of the driver's processor time at most")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"load {os.getloadavg()[0]:.1f}, {used.ru_utime + used.ru_stime:.0f} s of processor time")
    for line in measured.undecided:
        print(f"UNDECIDED: {line}")
    for line in measured.faults:
        print(f"FAULT: {line}")


def main() -> int:
    """Run until enough faults are checked; returns 1 if anything was wrong, 2 if undecided."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=100, help="in runs that end")
    parser.add_argument("--minutes", type=float, default=240.0, help="no run begins later")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    measured = Findings()
    with tempfile.TemporaryDirectory(prefix="workbench-faults-") as folder:
        data = Path(folder)
        environment = {**os.environ, "WORKBENCH_DATA": folder}
        command = [sys.executable, "-m", "workbench", *PREPARE]
        subprocess.run(
            command,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.environ["WORKBENCH_DATA"] = folder
        from workbench.prepare.corpus import Corpus

        epoch_frames = Corpus.open("tiny").split("train").frames
        until = time.monotonic() + 60 * options.minutes
        runs = 0
        while measured.checked < options.faults and time.monotonic() < until:
            one_run(data, runs, options.seed + runs, epoch_frames, measured)
            runs += 1

    tell(measured, runs)
    if measured.faults:
        return WRONG
    return UNDECIDED if measured.undecided or measured.checked < options.faults else 0


if __name__ == "__main__":
    sys.exit(main())
