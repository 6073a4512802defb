"""Shards made by several worker processes at once; what they answer does not depend on how many there are."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from queue import Queue

from workbench.corpus.synthesis.job import Job
from workbench.corpus.synthesis.speech import child_environment

MODULE = "workbench.corpus.synthesis.shard"


def results(jobs: list[Job], workers: int) -> Iterator[tuple[int, list[dict]]]:
    """(number of the job in ``jobs``, its results) as they get ready; RuntimeError if one fails. Ends its processes in any case."""
    waiting: Queue = Queue()
    for i, job in enumerate(jobs):
        waiting.put((i, json.dumps(asdict(job))))
    done: Queue = Queue()
    processes = [_start() for _ in range(max(1, min(workers, len(jobs))))]
    threads = [threading.Thread(target=_drive, args=(process, waiting, done), daemon=True) for process in processes]
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
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment(), text=True, encoding="utf-8"
    )


def _drive(process: subprocess.Popen, waiting: Queue, done: Queue) -> None:
    """Hands jobs to one process until none waits or the process is gone."""
    while not waiting.empty():
        number, job = waiting.get()
        try:
            process.stdin.write(job + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        if not line:
            done.put((number, {"error": f"the process that made it ended with exit code {process.wait()}"}))
            return
        done.put((number, json.loads(line)))
