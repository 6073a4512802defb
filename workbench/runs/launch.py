"""Runs and sweeps in processes of their own.

An interrupt, a restart or the end of a notebook does not touch them.

Their folders show what they do, so nothing in this process needs to stay alive. Their output goes
to data/logs/<name>.log.
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

from workbench.runs.ready import ReadyProcess
from workbench.settings import Settings, UserError, changes_from_laptop, check_name
from workbench.storage.home import data_folder
from workbench.storage.run import STOP, Run, RunState, find_run, newest_run
from workbench.system.processes import child_environment, process_stat

POLL_SECONDS = 0.1  # between looks for the folder of a run
_ready: list[ReadyProcess] = []  # the process that is ready, if there is one


@dataclass(frozen=True)
class Launched:
    """A command that was started, and the file with its output."""

    process: subprocess.Popen
    log: Path

    @property
    def running(self) -> bool:
        """Whether the command has not ended yet."""
        return self.process.poll() is None

    def last_lines(self, most: int = 12) -> str:
        """Return the last lines of the output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        lines = text.rstrip("\n").split("\n")
        return "\n".join(lines[-most:])


def launch(arguments: Sequence[str], name: str) -> Launched:
    """Start ``workbench ARGUMENTS`` in a session of its own, or ask the process that is ready.

    Its output goes to the log ``name``.
    """
    log = data_folder() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ready = _ready.pop() if _ready else None
    if ready is not None and ready.ask(arguments, log):
        process = ready.process
    else:
        process = _start(arguments, log)

    # A process that nothing waits for stays in the process table, and a killed run would look
    # alive.
    threading.Thread(target=process.wait, daemon=True, name=f"wait for {name}").start()
    return Launched(process, log)


def _start(arguments: Sequence[str], log: Path) -> subprocess.Popen:
    with open(log, "wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "workbench", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=child_environment(WORKBENCH_DATA=str(data_folder())),
            start_new_session=True,
        )


def get_ready() -> ReadyProcess:
    """Start a process that loads what training needs, for the next `launch`; there is one at most.

    It ends with this process, or when nothing is asked of it for long.
    """
    if _ready and not _ready[0].waiting:
        dismiss_ready()
    if not _ready:
        _ready.append(ReadyProcess())
    return _ready[0]


def dismiss_ready() -> None:
    """Let a process that is ready end."""
    while _ready:
        _ready.pop().dismiss()


def launch_run(
    corpus: str, settings: Settings, name: str, init: str | None = None, cluster: Sequence[str] = ()
) -> Launched:
    """Start to train a new run ``<name>-<digest>``.

    ``cluster``: the address of a cluster, perhaps followed by other words of the command line.
    """
    words = ["train", corpus, "--name", check_name("run", name)]
    if init:
        words += ["--init", init]
    if cluster:
        words += ["--cluster", *cluster]
    if settings.sequence:
        words += ["--criterion", settings.criterion.name]
    changed = changes_from_laptop(settings)
    if changed:
        words += ["--set", *changed]
    return launch(words, name)


def launch_resume(run: Run) -> Launched:
    """Start to resume a run that was stopped or lost."""
    return launch(["train", "--resume", run.name], run.name)


def launch_and_wait(words: Sequence[str], name: str, resumed: bool = False) -> Run:
    """Start ``workbench WORDS``, a train command, and return its run as soon as that exists.

    ``name``: of the run, without digest; if it is ``resumed``, the name of the run to resume.
    UserError with the last line of output if the command ends before.
    """
    before = find_run(name) if resumed else newest_run(check_name("run", name))
    pid_before = before.status().pid if before else None
    launched = launch(words, before.name if before and resumed else name)
    while True:
        running = launched.running  # asked first, so that a run that ends meanwhile is found
        run = before if resumed else newest_run(name)
        if run is not None and (run != before or run.status().pid != pid_before):
            return run
        if not running:
            lines = [line for line in launched.last_lines().split("\n") if line]
            last = lines[-1] if lines else f"{name}: the command ended without any output"
            raise UserError(last.removeprefix("workbench: "))
        time.sleep(POLL_SECONDS)


def stop_run(run: Run) -> None:
    """Ask a run of any process to stop.

    It comes to rest at a checkpoint, from which it can be resumed.
    """
    status = run.status()
    if status.state != RunState.RUNNING:
        raise UserError(f"{run.name}: is not running (state: {status.state})")
    (run.folder / STOP).touch()


def kill_worker(run: Run, worker: str) -> int:
    """Kill a worker of a run that has its own cluster on this machine; return its process id."""
    cluster = run.cluster
    workers = cluster.workers if cluster else {}
    if worker not in workers:
        known = "only a run with --cluster local, while it runs, has any"
        if workers:
            known = f"it has {', '.join(workers)}"
        raise UserError(f"{run.name}: no worker {worker} that could be killed: {known}")

    pid = workers[worker]
    stat = process_stat(pid)
    if stat is None or stat.parent != run.status().pid:  # the system uses process ids again
        raise UserError(f"{run.name}: worker {worker} is gone, and its successor not there yet")
    os.kill(pid, signal.SIGKILL)
    return pid
