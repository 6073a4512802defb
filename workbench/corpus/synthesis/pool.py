"""Shards made by several worker processes at once; what they answer does not depend on how many there are."""

import json
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import asdict
from queue import Empty, Queue

from workbench.corpus.synthesis.job import Job
from workbench.processes import child_environment

MODULE = "workbench.corpus.synthesis.shard"


def results(jobs: list[Job], workers: int) -> Generator[tuple[int, list[dict]], None, None]:
    """(number of the job in ``jobs``, its results) as they get ready; RuntimeError if one fails."""
    waiting: Queue = Queue()
    for i, job in enumerate(jobs):
        waiting.put((i, json.dumps(asdict(job))))
    done: Queue = Queue()
    processes = [_start() for _ in range(max(1, min(workers, len(jobs))))]
    threads = [
        threading.Thread(target=_drive, args=(process, waiting, done), daemon=True)
        for process in processes
    ]
    try:
        for thread in threads:
            thread.start()
        for _ in jobs:
            number, answer = done.get()
            if "error" in answer:
                raise RuntimeError(f"shard {number}: {answer['error']}")
            yield number, answer["results"]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for thread in threads:
            thread.join()
        for process in processes:
            process.stdin.close()
            process.stdout.close()


def _start() -> subprocess.Popen:
    command = [sys.executable, "-m", MODULE]
    # a session of its own: Ctrl-C reaches the parent alone, which then ends its children
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(PYTHONIOENCODING="utf-8"),
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def _drive(process: subprocess.Popen, waiting: Queue, done: Queue) -> None:
    """Hands jobs to one process until none waits or the process is gone."""
    while True:
        try:
            number, job = waiting.get_nowait()
        except Empty:
            return
        try:
            process.stdin.write(job + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        if not line:
            done.put(
                (
                    number,
                    {"error": f"the process that made it ended with exit code {process.wait()}"},
                )
            )
            return
        done.put((number, json.loads(line)))
