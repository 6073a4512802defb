"""What a run needs of the machine and the data, checked before it starts."""

import os
from pathlib import Path

from workbench.runs.task import Task
from workbench.settings import UserError

COPIES = 7
"""How often the parameters are in memory at least: 7.7 times were measured with 34 million of them
and SGD, 11.6 times with Adagrad."""

FLOAT_BYTES = 4
GB = 1e9
MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Files that hold the limit of a container, if there is one."""


def check_limits(task: Task, memory: int | None = None) -> None:
    """Raise UserError if the network does not fit into memory, or a batch has more frames than
    the training data.

    ``memory``: the free bytes, by default those of this machine.
    """
    batch = task.settings.batches.size
    frames = task.train.frames
    if batch > frames:
        raise UserError(
            f"batch={batch}: the training data of {task.corpus.name} have {frames} frames; "
            "choose a smaller batch"
        )

    free = free_memory() if memory is None else memory
    parameters = task.topology.size
    needed = COPIES * FLOAT_BYTES * parameters
    if free is not None and needed > free:
        model = task.settings.model
        raise UserError(
            f"hidden_units={model.hidden_units} hidden_layers={model.hidden_layers}: a network of "
            f"{parameters / 1e6:.0f} million parameters needs at least {needed / GB:.1f} GB to "
            f"train, and {free / GB:.1f} GB are free; choose a smaller network"
        )


def free_memory() -> int | None:
    """Return the bytes that this process may still use; None where Linux does not tell."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    free = sum(1024 * int(lines[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    return min([free, *_container_limits()])


def _container_limits() -> list[int]:
    limits = []
    for path in MEMORY_LIMITS:
        if os.path.isfile(path):
            text = path.read_text().strip()
            if text.isdigit():
                limits.append(int(text))
    return limits
