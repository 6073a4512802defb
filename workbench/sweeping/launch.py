"""A sweep in a process of its own."""

from workbench.runs.launch import Launched, launch
from workbench.sweeping.spec import Sweep


def launch_sweep(sweep: Sweep, jobs: int = 2, retry: bool = False) -> Launched:
    """Save a sweep and carry it out."""
    sweep = sweep.save()
    more = ["--retry"] if retry else []
    return launch(
        ["sweep", "--name", sweep.name, "--jobs", str(jobs), *more], f"sweep-{sweep.name}"
    )
