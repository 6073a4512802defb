"""Kill a worker of one run again and again for hours, and see whether anything grows.

    PYTHONPATH=tests python tests/faults/soak.py --minutes 120

Two replicas with their decoders, on a worker each, and the parameter server with the evaluator on a
third one train with MMI on a local cluster. Every five seconds in which the run has gone on, one of
the replicas' workers is killed. The driver and the server's worker live as long as the script: of
both, and of each worker just before it is killed, the script notes memory, open files and threads,
and fits a line to what came after the first minutes. Work takes as long as a slow machine would
need (`workbench.engine.pace`), so the computer is busy with recoveries only. At the end the run is
stopped, and each push must count once. The script fails if a process grows by a megabyte an hour
and by more than the error of that slope, if it has more files open than before, or if the run has
lost or doubled a push.
"""

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import NamedTuple

import numpy as np
from kill_components import PREPARE, exists, processor_seconds

from workbench.engine import Cost, Machine, WorkPrice
from workbench.runs.train import train
from workbench.settings.presets import preset
from workbench.storage.home import data_folder
from workbench.storage.rows import PushRow
from workbench.storage.run import STOP, Run, RunState, all_runs, find_run

START = "start"  # the run whose model it starts from
SOAK = "soak"
WORKERS = 3
THREADS = 2  # of each worker: all three are needed, so a run waits for one that was killed
SERVER = "0"  # the worker that is never killed
REPLICAS = 2
SLOW = Machine(
    "slow",
    "so slow that a fraction of a core does its work",
    {
        "gradient": WorkPrice(call=0.04),
        "forward": WorkPrice(call=0.04),
        "decode": WorkPrice(call=0.4),
        "evaluate": WorkPrice(call=1.0),
    },
    jitter=0.1,
)
RECOVERED = " lost, back after "  # in a line of the log
MEGABYTE = 1 << 20
GROWTH = 1.0  # MB an hour by which no process may grow
ERRORS = 2.0  # standard errors within which a slope is no growth
STAND_STILL_SECONDS = 600.0  # after which a run that writes nothing is given up
END_SECONDS = 120.0  # that the run may take to stop
POLL_SECONDS = 0.1


class Size(NamedTuple):
    """What a process has at a time, in seconds since the start."""

    seconds: float
    megabytes: float
    files: int
    threads: int


class Slope(NamedTuple):
    """A fitted line: units an hour, with the standard error."""

    hourly: float
    error: float


class Killed(NamedTuple):
    """A worker and the process that it was."""

    name: str
    process: int


@dataclass
class Seen:
    """Sizes of processes by role, and the kills."""

    sizes: dict[str, list[Size]] = field(default_factory=lambda: defaultdict(list))
    kills: int = 0
    stood_still: bool = False  # the run did not go on after a kill
    began: float = field(default_factory=time.monotonic)

    def look(self, role: str, pid: int) -> None:
        """Note the size of a process, if it still exists."""
        try:
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            files = len(os.listdir(f"/proc/{pid}/fd"))
            threads = len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            return
        megabytes = pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE
        self.sizes[role].append(Size(time.monotonic() - self.began, megabytes, files, threads))


# --- the process that drives the run


def drive_run() -> None:
    """Train on a cluster of this process until the run is asked to stop."""
    from distributed import Client

    from workbench.engine.dask import Cluster
    from workbench.engine.dask.local_cluster import local_cluster
    from workbench.runs.record import corpus_of

    start = find_run(START)
    settings = preset(
        "tiny",
        criterion="mmi",
        replicas=REPLICAS,
        epochs=1000.0,
        learning_rate=1e-4,
        evaluate_every=0.5,
        evaluate_utterances=2,
        checkpoint_every=0.15,
        patience=100,
        decays=10,
    )
    places = {"server 0": 0, "evaluator": 0}
    for i in range(REPLICAS):
        places |= dict.fromkeys([f"replica {i}", f"decoder {i}", f"decoded {i}"], i + 1)
    with local_cluster(WORKERS, THREADS) as made, Client(made) as client:
        cluster = Cluster(client, places=places).paced(Cost(SLOW))
        train(corpus_of(start), settings, name=SOAK, init=start, executor=cluster)


# --- the process that kills


def bytes_of_rows(run: Run) -> int:
    """Return how many bytes of rows the replicas have written."""
    return sum(path.stat().st_size for path in run.folder.glob("rows-replica*.jsonl"))


def recoveries(run: Run) -> int:
    """Return how often the run has recovered; its log keeps every recovery, its rows do not."""
    log = run.folder / "log.txt"
    return log.read_text().count(RECOVERED) if log.exists() else 0


def wait_until(what: Callable[[], bool], driver: subprocess.Popen) -> bool:
    """Wait until ``what`` is so; False if the run has ended or stands still."""
    give_up = time.monotonic() + STAND_STILL_SECONDS
    while not what():
        if driver.poll() is not None or time.monotonic() > give_up:
            return False
        time.sleep(POLL_SECONDS)
    return driver.poll() is None


def workers_of(run: Run) -> dict[str, int]:
    """Return the process of each worker of the run by the worker's name."""
    cluster = run.cluster
    return cluster.workers if cluster else {}


def go_on(run: Run, driver: subprocess.Popen, killed: Killed | None, seconds: float) -> bool:
    """Wait until another process stands for the killed one, and rows come again for so long."""
    if killed and not wait_until(
        lambda: workers_of(run).get(killed.name, killed.process) != killed.process, driver
    ):
        return False
    before = bytes_of_rows(run)
    if not wait_until(lambda: bytes_of_rows(run) > before, driver):
        return False
    time.sleep(seconds)
    return driver.poll() is None


def soak(run: Run, driver: subprocess.Popen, minutes: float, every: float, seed: int) -> Seen:
    """Kill a worker every so many seconds in which the run goes on."""
    draw = random.Random(seed)
    seen = Seen()
    told = 0
    killed = None
    while time.monotonic() - seen.began < 60 * minutes:
        if not go_on(run, driver, killed, every):
            seen.stood_still = True
            break
        workers = workers_of(run)
        victims = sorted(name for name, pid in workers.items() if name != SERVER and exists(pid))
        if not victims or SERVER not in workers:
            continue
        name = draw.choice(victims)
        killed = Killed(name, workers[name])
        seen.look("driver", driver.pid)
        seen.look("worker of the server", workers[SERVER])
        seen.look("worker of a replica", killed.process)
        os.kill(killed.process, SIGKILL)
        seen.kills += 1

        if seen.kills // 20 > told:
            told = seen.kills // 20
            tell_sizes(seen)
    return seen


def tell_sizes(seen: Seen) -> None:
    """Print the last sizes."""
    last = {role: sizes[-1] for role, sizes in seen.sizes.items()}
    words = [f"{role} {size.megabytes:.1f} MB {size.files} files" for role, size in last.items()]
    passed = (time.monotonic() - seen.began) / 60
    print(f"{passed:6.1f} min, {seen.kills} kills: {'; '.join(words)}", flush=True)


def slope(seconds: np.ndarray, values: np.ndarray) -> Slope:
    """Fit a line by least squares."""
    hours = (seconds - seconds.mean()) / 3600
    spread = float(hours @ hours)
    hourly = float(hours @ values) / spread
    rest = values - values.mean() - hourly * hours
    error = float(np.sqrt(rest @ rest / (len(rest) - 2) / spread))
    return Slope(hourly, error)


def report(seen: Seen, warm_up: float) -> list[str]:
    """Print how each role has grown after the warm-up (minutes); return what is too much."""
    found = []
    for role, sizes in seen.sizes.items():
        steady = np.array([size for size in sizes if size.seconds > 60 * warm_up])
        if len(steady) < 10:
            found.append(f"{role}: {len(steady)} looks are too few")
            continue
        seconds, megabytes, files, threads = steady.T
        growth = slope(seconds, megabytes)
        fds = slope(seconds, files)
        third = len(steady) // 3
        print(
            f"{role:22} {len(steady):4} looks: {growth.hourly:+.2f} ± {growth.error:.2f} MB an "
            f"hour, {megabytes[:third].mean():.1f} MB in the first third and "
            f"{megabytes[-third:].mean():.1f} in the last; open files {min(files):.0f} to "
            f"{max(files):.0f} (median {statistics.median(files):.0f}), {fds.hourly:+.2f} ± "
            f"{fds.error:.2f} an hour; threads {min(threads):.0f} to {max(threads):.0f}"
        )
        if growth.hourly > GROWTH and growth.hourly > ERRORS * growth.error:
            found.append(f"{role}: grows by {growth.hourly:.1f} MB an hour")
        if fds.hourly > GROWTH and fds.hourly > ERRORS * fds.error:
            found.append(f"{role}: {fds.hourly:.1f} more open files an hour")
    return found


def wrong_with(run: Run, kills: int) -> list[str]:
    """Return what is wrong with the run after it was stopped."""
    found = []
    state = run.status()
    if state.state != RunState.STOPPED:
        found.append(f"ended as {state}")
    pushes = list(run.rows(PushRow))
    items = {(row.replica, row.step) for row in pushes}
    steps = {i: sum(row.replica == i for row in pushes) for i in range(REPLICAS)}
    whole = {(i, step) for i, count in steps.items() for step in range(count)}
    print(f"{len(pushes)} pushes, {recoveries(run)} recoveries after {kills} kills")
    if items != whole:
        found.append(f"{len(pushes)} pushes, {len(items)} items, {steps} by step")
    # A worker that is killed between two segments is waited for, and nothing has to be recovered.
    if recoveries(run) > kills:
        found.append(f"{recoveries(run)} recoveries after {kills} kills")
    if run.summary.updates_applied != len(pushes):
        found.append(f"{run.summary.updates_applied} updates of {len(pushes)} pushes")
    return found


def prepare(environment: dict[str, str]) -> None:
    """Prepare a corpus, and train the model that the run starts from."""
    words = ["train", "tiny", "--preset", "tiny", "--name", START, "--set", "epochs=4"]
    for command in (PREPARE, words):
        subprocess.run(
            [sys.executable, "-m", "workbench", *command],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def find_soak(driver: subprocess.Popen) -> Run:
    """Wait until the run has a folder; RuntimeError if its process has ended before."""
    while driver.poll() is None:
        for run in all_runs(data_folder() / "runs"):
            if run.name.startswith(SOAK):
                return run
        time.sleep(POLL_SECONDS)
    raise RuntimeError("the driver has ended before the run had a folder")


def main() -> int:
    """Soak; returns 1 if anything grew, was lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds of work between kills")
    parser.add_argument("--warm-up", type=float, default=15.0, help="minutes that do not count")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        drive_run()
        return 0

    with tempfile.TemporaryDirectory(prefix="workbench-soak-") as folder:
        os.environ["WORKBENCH_DATA"] = folder
        prepare(dict(os.environ))
        log = Path(folder, "driver.txt")
        with open(log, "w") as file:
            driver = subprocess.Popen(
                [sys.executable, __file__, "--drive"], stdout=file, stderr=subprocess.STDOUT
            )
        run = find_soak(driver)
        seen = soak(run, driver, options.minutes, options.every, options.seed)
        used = processor_seconds(driver.pid)
        (run.folder / STOP).touch()
        code = driver.wait(END_SECONDS)
        found = report(seen, options.warm_up) + wrong_with(run, seen.kills)
        if seen.stood_still:
            found.append("the run did not go on after the last kill")
        if code:
            found.append(f"the driver ended with {code}: {log.read_text()[-2000:]}")

    minutes = (time.monotonic() - seen.began) / 60
    print(f"{minutes:.0f} minutes, load {os.getloadavg()[0]:.1f}, driver {used:.0f} s of processor")
    for line in found:
        print(f"FAULT: {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
