"""The environment of processes that workbench starts, and what the system says of a process.

Each has one arithmetic thread, and good kernels from MKL.

Workbench never sets these variables in a process of the user's. There, `workbench.model.threads`
limits the threads for as long as a pass through the network lasts.
"""

import os
from pathlib import Path
from typing import NamedTuple

PACKAGE_ROOT = Path(__file__).resolve().parents[2]

# Two OpenMP threads in one process are 5 to 20 times slower as soon as anything else runs, so work
# in parallel is done by several processes instead.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def arithmetic_environment() -> dict[str, str]:
    """Return the variables that arithmetic libraries read when they are loaded.

    They set the number of threads and, for MKL, the processor.
    """
    from workbench.system.processor import (
        this_processor,  # loads LLVM, which not every process needs
    )

    mkl_cpu_type = this_processor().mkl_cpu_type
    if mkl_cpu_type is None:
        return dict(ONE_THREAD)
    return {**ONE_THREAD, "MKL_DEBUG_CPU_TYPE": mkl_cpu_type}


def child_environment(**variables: str) -> dict[str, str]:
    """Return the environment for a Python process that workbench starts.

    It is the environment of this process with ``variables`` added, the package on the path of
    imports and `arithmetic_environment` wherever the user has not set a variable.
    """
    path = [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **arithmetic_environment(),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        **variables,
    }


def set_environment() -> None:
    """Set `arithmetic_environment` in this process, except for variables that are set already.

    Only a process that workbench has started calls this, before it loads torch or numpy.
    """
    for name, value in arithmetic_environment().items():
        os.environ.setdefault(name, value)


def process_is_alive(pid: int) -> bool:
    """Return whether process ``pid`` of this machine exists, whoever owns it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists, and belongs to another user
        return True
    return True


class ProcessStat(NamedTuple):
    """What Linux says of a process."""

    state: str  # a letter; Z: has ended, and its parent has not asked how
    parent: int
    ticks: int  # of processor time, of which there are os.sysconf("SC_CLK_TCK") in a second


def process_stat(pid: int) -> ProcessStat | None:
    """Return what is known of process ``pid`` of this machine.

    None if there is no such process, or if this system has no such files.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None

    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    return ProcessStat(fields[0], int(fields[1]), int(fields[11]) + int(fields[12]))
