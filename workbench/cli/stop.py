"""``workbench stop``: a run stops at its next checkpoint, wherever it runs."""

import argparse
from dataclasses import dataclass

EXAMPLES = ""


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str
    kill_worker: str | None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")
    parser.add_argument(
        "--kill-worker",
        metavar="K",
        help="kill worker K of the run's `--cluster local` instead; "
        "the run recovers from its last checkpoint",
    )


def run(options: Options) -> None:
    """Ask the run to stop, or kill one of its workers."""
    from workbench.runs.launch import kill_worker, stop_run
    from workbench.storage.run import find_run

    running = find_run(options.run)
    worker = options.kill_worker
    if worker is None:
        stop_run(running)
        print(
            f"{running.name} stops at its next checkpoint; "
            f"resume it with: workbench train --resume {running.name}"
        )
        return
    process = kill_worker(running, worker)
    print(f"{running.name}: killed worker {worker} (process {process}); the run recovers by itself")
