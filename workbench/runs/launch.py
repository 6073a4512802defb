"""Runs and sweeps in processes of their own, so that a notebook's interrupt, restart or end does not touch them.

What they do is read from their folders; nothing here needs to stay alive. Output goes to data/logs/<name>.log.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.processes import child_environment
from workbench.settings import Settings, UserError
from workbench.storage.run import STOP, Run, RunState, find_run, home, newest_run


@dataclass(frozen=True)
class Launched:
    """A command that was started, and where its output goes."""

    process: subprocess.Popen
    log: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def last_lines(self, most: int = 12) -> str:
        """The end of its output, progress bars reduced to their last state."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        lines = [line.rsplit("\r", 1)[-1] for line in text.rstrip("\n").split("\n")]
        return "\n".join(lines[-most:])


def launch(arguments: Sequence[str], name: str) -> Launched:
    """Start ``workbench ARGUMENTS`` in a session of its own."""
    log = home() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "workbench", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=child_environment(WORKBENCH_DATA=str(home())),
            start_new_session=True,
        )
    # Someone must wait for it, or it stays in the process table and a killed run looks alive.
    threading.Thread(target=process.wait, daemon=True, name=f"wait for {name}").start()
    return Launched(process, log)


def launch_run(
    corpus: str, settings: Settings, name: str, init: str | None = None, cluster: Sequence[str] = ()
) -> Launched:
    """Train a new run ``<name>-<digest>``; ``cluster``: an address, and perhaps more words of the command line."""
    words = [f"{field}={value}" for field, value in settings.to_dict().items()]
    start = ["--init", init] if init else []
    where = ["--cluster", *cluster] if cluster else []
    return launch(["train", corpus, "--name", name, *start, *where, "--set", *words], name)


def launch_resume(run: Run) -> Launched:
    """Go on with a run that was stopped or lost."""
    return launch(["train", "--resume", run.name], run.name)


def begun(words: Sequence[str], name: str, resumed: bool = False) -> Run:
    """Launch ``workbench train`` with these words and wait until its run is there; UserError if it fails before.

    ``name``: the run's, without digest; if it is ``resumed``, that of the run to go on with.
    """
    before = find_run(name) if resumed else newest_run(name)
    since = before.status().pid if before else None
    launched = launch(words, name)
    while True:
        running = (
            launched.running
        )  # looked at first, so that a run that has ended meanwhile is still found
        run = before if resumed else newest_run(name)
        if run is not None and (run != before or run.status().pid != since):
            return run
        if not running:
            last = [line for line in launched.last_lines().split("\n") if line]
            raise UserError((last or ["it ended without a word"])[-1].removeprefix("workbench: "))
        time.sleep(0.1)


def stop_run(run: Run) -> None:
    """Ask a run, from any process, to come to rest at a checkpoint; it ends in its own time and can be resumed."""
    status = run.status()
    if status.state != RunState.RUNNING:
        raise UserError(f"{run.name}: is not running (state: {status.state})")
    (run.folder / STOP).touch()


def kill_worker(run: Run, worker: str) -> int:
    """Kill a worker of a run that has started its own cluster here, to see it recover; which process that was."""
    workers = run.cluster.get("workers", {})
    if worker not in workers:
        known = (
            f"it has {', '.join(workers)}"
            if workers
            else "only a run with --cluster local, while it runs, has any"
        )
        raise UserError(f"{run.name}: no worker {worker} that could be killed: {known}")
    pid = workers[worker]
    if parent_of(pid) != run.status().pid:  # process ids are used again
        raise UserError(
            f"{run.name}: worker {worker} is gone already, and another one not there yet"
        )
    os.kill(pid, signal.SIGKILL)
    return pid


def parent_of(pid: int) -> int | None:
    """The parent of a process, on Linux; None if there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
