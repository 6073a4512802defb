"""Makes shards in several worker processes at once; their number does not change the result."""

import subprocess
import sys
import threading
from collections.abc import Generator
from queue import Empty, Queue
from typing import NamedTuple

from workbench.corpus.synthesis.job import Answer, Job, Made
from workbench.system.processes import child_environment

MODULE = "workbench.corpus.synthesis.shard"


class Shard(NamedTuple):
    """A shard that was made, and the number of its job."""

    number: int
    made: tuple[Made, ...]


class _Task(NamedTuple):
    """A job that waits for a process."""

    number: int
    line: str


class _Done(NamedTuple):
    """The answer to a job."""

    number: int
    answer: Answer


def make_shards(jobs: list[Job], workers: int) -> Generator[Shard, None, None]:
    """Yield the shards of ``jobs`` as they get ready; raise RuntimeError if one fails."""
    waiting: Queue[_Task] = Queue()
    for number, job in enumerate(jobs):
        waiting.put(_Task(number, job.to_json()))
    done: Queue[_Done] = Queue()

    processes = [_start_process() for _ in range(max(1, min(workers, len(jobs))))]
    threads = [
        threading.Thread(target=_feed_process, args=(process, waiting, done), daemon=True)
        for process in processes
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            number, answer = done.get()
            if answer.error:
                raise RuntimeError(f"shard {number}: {answer.error}")
            yield Shard(number, answer.made)
    finally:
        _end_processes(processes, threads)


def _start_process() -> subprocess.Popen[str]:
    # In another session, so that Ctrl-C reaches the parent alone, which then ends its children.
    return subprocess.Popen(
        [sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(PYTHONIOENCODING="utf-8"),
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def _end_processes(processes: list[subprocess.Popen[str]], threads: list[threading.Thread]) -> None:
    for process in processes:
        process.kill()
        process.wait()
    for thread in threads:
        thread.join()
    for process in processes:
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _feed_process(
    process: subprocess.Popen[str], waiting: "Queue[_Task]", done: "Queue[_Done]"
) -> None:
    """Hand jobs to one process until none waits or the process has ended."""
    while True:
        try:
            number, line = waiting.get_nowait()
        except Empty:
            return

        answer = _ask(process, line)
        if not answer:
            error = f"the process that made it ended with exit code {process.wait()}"
            done.put(_Done(number, Answer(error=error)))
            return
        done.put(_Done(number, Answer.from_json(answer)))


def _ask(process: subprocess.Popen[str], line: str) -> str:
    """Return the answer of a process to one line, or "" if it has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except (OSError, ValueError):
        return ""
