"""Stop a run on a local cluster in every way there is, and look for what it leaves behind.

    PYTHONPATH=tests python tests/faults/stop_runs.py --stops 50

A run of the tiny corpus is started, stopped at a random moment and resumed, again and again: by
Ctrl-C (SIGINT to the process, or to its whole process group as a terminal sends it), by SIGTERM as
batch systems send it, and by the file `stop` in the run's folder as notebooks do it; while workers
start, and while it trains. After each stop no process of the run may be left, none of its ports may
be listened on, no file may lie in its folder for temporary files, and none may be half written in
the folder of the run; its state must be *stopped*. The script prints how long each stop took, on
the wall and in the run's own time (`own_time`), and fails if anything was left or a stop took more
than ten seconds of own time.
"""

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kill_components import PREPARE, SETTINGS, Delay
from own_time import OwnTime

from workbench.cli.exit_codes import INTERRUPTED
from workbench.storage.run import STOP, Run, RunState, all_runs
from workbench.system.processes import process_stat

LISTENING = "0A"  # the state of a socket in /proc/net/tcp
MOST_SECONDS = 10.0  # of own time that a stop may take
START_SECONDS = 300.0  # that a run may take until it writes its first row
END_SECONDS = 300.0  # after which a run that does not stop is killed
GONE_SECONDS = 5.0  # for Python's own tracker of resources, which ends when all others have
LATEST = 6.0  # seconds after its start, or its first row, at which a run is stopped
POLL_SECONDS = 0.05
TEMPORARY = ("*.tmp", "*.part", "*~")
"""Names of files that were not finished."""

LOCKS = ("dask-scratch-space/global.lock", "dask-scratch-space/purge.lock")
"""Two empty files, the same for all clusters, by which Dask's next one removes what killed workers
have left."""


@dataclass
class Stops:
    """What was seen over all stops."""

    delays: list[Delay] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Stopped:
    """A run that is started, stopped and resumed; all its processes carry the folder's name."""

    def __init__(self, home: Path):
        self.home = home
        self.temporary = home / "temporary"
        self.temporary.mkdir()
        self.environment = {
            **os.environ,
            "WORKBENCH_DATA": str(home),
            "TMPDIR": str(self.temporary),
        }

    def prepare(self) -> None:
        """Prepare the corpus."""
        command = [sys.executable, "-m", "workbench", *PREPARE]
        quiet = subprocess.DEVNULL
        subprocess.run(command, env=self.environment, check=True, stdout=quiet, stderr=quiet)

    def start(self) -> None:
        """Start the run, or resume it."""
        run = self.run
        if run is None:
            words = ["tiny", "--preset", "tiny", "--name", "stopped", "--set", *SETTINGS]
            words += ["replicas=2", "epochs=1000"]
        else:
            words = ["--resume", run.name]
        with open(self.home / "log.txt", "a") as log:
            self.driver = subprocess.Popen(
                [sys.executable, "-m", "workbench", "train", *words, "--cluster", "local"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def run(self) -> Run | None:
        """The run, once it has a folder."""
        return next(iter(all_runs(self.home / "runs")), None)

    @property
    def written(self) -> int:
        """How many bytes of rows the replicas have written."""
        files = self.run.folder.glob("rows-replica*.jsonl") if self.run else []
        return sum(path.stat().st_size for path in files)

    def processes(self) -> list[int]:
        """Return the processes that were started with this folder, zombies not counted."""
        mark = f"WORKBENCH_DATA={self.home}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                environment = (path / "environ").read_bytes().split(b"\0")
            except OSError:  # it has just ended, or is another user's
                continue
            stat = process_stat(int(path.name))
            if mark in environment and stat is not None and stat.state != "Z":
                found.append(int(path.name))
        return found


def ports_of(pids: list[int]) -> set[str]:
    """Return the addresses on which these processes listen."""
    inodes = set()
    for pid in pids:
        try:
            files = list(Path(f"/proc/{pid}/fd").iterdir())
            inodes |= {os.stat(file).st_ino for file in files}
        except OSError:  # it has just ended, or closed a file
            continue
    return {address for address, inode in listening().items() if inode in inodes}


def listening() -> dict[str, int]:
    """Return the inodes of all sockets that listen, by address."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == LISTENING:
                found[columns[1]] = int(columns[9])
    return found


# --- ways to stop


def interrupt(stopped: Stopped) -> None:
    """Ctrl-C for the process alone."""
    stopped.driver.send_signal(signal.SIGINT)


def interrupt_group(stopped: Stopped) -> None:
    """Ctrl-C in a terminal: for the whole process group."""
    os.killpg(stopped.driver.pid, signal.SIGINT)


def terminate(stopped: Stopped) -> None:
    """What a batch system sends."""
    stopped.driver.send_signal(signal.SIGTERM)


def write_file(stopped: Stopped) -> None:
    """What a notebook does."""
    run = stopped.run
    if run is None:
        raise RuntimeError("the run has no folder yet")
    (run.folder / STOP).touch()


SIGNALS = (interrupt, interrupt_group, terminate)


def stop_once(stopped: Stopped, number: int, draw: random.Random, found: Stops) -> None:
    """Start the run, stop it, and look for what is left."""
    rows_before = stopped.written
    stopped.start()
    while_training = draw.random() < 0.8 or number == 0
    ways: tuple[Callable[[Stopped], None], ...] = SIGNALS
    if while_training:
        ways = (*SIGNALS, write_file)
        give_up = time.monotonic() + START_SECONDS
        while stopped.written == rows_before and time.monotonic() < give_up:
            time.sleep(POLL_SECONDS)
    time.sleep(draw.uniform(0, LATEST))

    way = draw.choice(ways)
    pids = stopped.processes()
    ports = ports_of(pids)
    own = OwnTime(lambda: pids)
    own.look()
    began = time.time()
    way(stopped)
    code = wait(stopped, own)
    ended = time.time()
    delay = Delay(ended - began, own.at(ended) - own.at(began))

    found.delays.append(delay)
    left = left_behind(stopped, code, ports)
    if delay.own > MOST_SECONDS:
        left.append(f"took {delay.own:.1f} s of own time")
    moment = "training" if while_training else "starting"
    found.faults += [f"stop {number}, {way.__name__} while {moment}: {line}" for line in left]
    print(
        f"{number:3} {way.__name__:16} while {moment}: {delay.wall:5.1f} s ({delay.own:4.1f} own), "
        f"{len(pids)} processes, {len(ports)} ports, exit {code}, left: {left or 'nothing'}",
        flush=True,
    )
    for pid in stopped.processes():
        os.kill(pid, signal.SIGKILL)


def wait(stopped: Stopped, own: OwnTime) -> int:
    """Wait until the process that drives the run has ended; return its exit code."""
    give_up = time.monotonic() + END_SECONDS
    while stopped.driver.poll() is None and time.monotonic() < give_up:
        own.look()
        time.sleep(POLL_SECONDS)
    if stopped.driver.poll() is None:
        stopped.driver.kill()
    return stopped.driver.wait()


def left_behind(stopped: Stopped, code: int, ports: set[str]) -> list[str]:
    """Return what a stop has left, and what is not as it should be."""
    found = []
    give_up = time.monotonic() + GONE_SECONDS
    while stopped.processes() and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    processes = {pid: command_of(pid) for pid in stopped.processes()}
    if processes:
        found.append(f"processes {processes}")
    still = ports & set(listening())
    if still:
        found.append(f"ports {sorted(still)}")
    files = [path for path in stopped.temporary.rglob("*") if path.is_file()]
    files = [path for path in files if str(path.relative_to(stopped.temporary)) not in LOCKS]
    if files:
        found.append(f"temporary files {files[:3]}")
    run = stopped.run
    if run is not None:
        half = [path for name in TEMPORARY for path in run.folder.rglob(name)]
        if half:
            found.append(f"half written {half[:3]}")
        state = run.status().state
        if state != RunState.STOPPED:
            found.append(f"the run is {state}")
    if code != INTERRUPTED:
        found.append(f"exit code {code}")
    return found


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def main() -> int:
    """Stop a run so many times; returns 1 if anything was left behind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    # A shell has what it starts in the background ignore Ctrl-C, and so would the runs.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = Stops()
    with tempfile.TemporaryDirectory(prefix="workbench-stops-") as folder:
        stopped = Stopped(Path(folder))
        stopped.prepare()
        draw = random.Random(options.seed)
        for number in range(options.stops):
            stop_once(stopped, number, draw, found)

    own = [delay.own for delay in found.delays]
    wall = [delay.wall for delay in found.delays]
    print(
        f"\n{len(own)} stops: own time median {statistics.median(own):.2f} s, most "
        f"{max(own):.2f} s; wall {statistics.median(wall):.2f} s, {max(wall):.2f} s; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    for line in found.faults:
        print(f"FAULT: {line}")
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
