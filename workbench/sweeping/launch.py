"""A sweep in a process of its own."""

from workbench.runs.launch import Launched, launch
from workbench.sweeping.spec import Sweep


def launch_sweep(sweep: Sweep, jobs: int = 2, retry: bool = False) -> Launched:
    """Save a sweep and start a process that runs it, ``jobs`` cells at a time.

    With ``retry`` it runs failed cells again.
    """
    saved = sweep.save()
    words = ["sweep", "--name", saved.name, "--jobs", str(jobs)]
    if retry:
        words.append("--retry")
    return launch(words, f"sweep-{saved.name}")
