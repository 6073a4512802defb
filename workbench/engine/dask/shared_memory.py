"""Memory that other processes of this machine can map: anonymous files, which end with the last process that has them.

Nothing of it has a name, neither in a folder nor in /dev/shm, so nothing is left behind by whoever is killed. Whoever
is to see a segment gets its file over a Unix socket.
"""

import itertools
import mmap
import os
import weakref
from pathlib import Path

import numpy as np

_numbers = itertools.count()


class Segment:
    """A block of this process, to be used with ``workbench.memory.Pool``."""

    def __init__(self, size: int):
        self.number, self.size = next(_numbers), size
        self.file = os.memfd_create("workbench", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self.file).atexit = False
        os.ftruncate(self.file, size)
        self.memory = mmap.mmap(self.file, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self.address = _address(self.memory)


class Mapped:
    """A segment of another process, to look at; takes ``file`` over."""

    def __init__(self, file: int, size: int):
        try:
            self.memory = mmap.mmap(
                file, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=mmap.PROT_READ
            )
        finally:
            os.close(file)
        self.address = _address(self.memory)


def _address(memory: mmap.mmap) -> int:
    return np.frombuffer(memory, np.uint8).ctypes.data


def machine() -> str:
    """What two processes have in common if they can hand each other segments: kernel and network namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}-{os.stat('/proc/self/ns/net').st_ino}"
