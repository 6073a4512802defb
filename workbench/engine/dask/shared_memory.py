"""Memory that other processes of this machine can map.

It consists of anonymous files, which end with their last user.

No segment has a name, neither in a folder nor in /dev/shm, so a process that is killed leaves
nothing behind. A process that may read a segment gets its file over a Unix socket.
"""

import itertools
import mmap
import os
import weakref
from pathlib import Path

import numpy as np

_numbers = itertools.count()


class Segment:
    """A block of shared memory of this process, for `workbench.system.memory.Pool`."""

    def __init__(self, size: int):
        self.number = next(_numbers)
        self.size = size  # bytes
        self.file = os.memfd_create("workbench", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self.file).atexit = False
        os.ftruncate(self.file, size)
        self.memory = mmap.mmap(self.file, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self.address = _address_of(self.memory)


class MappedSegment:
    """A segment of another process, mapped for reading; closes ``file``."""

    def __init__(self, file: int, size: int):
        self.size = size  # bytes
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        try:
            self.memory = mmap.mmap(file, size, flags=flags, prot=mmap.PROT_READ)
        finally:
            os.close(file)
        self.address = _address_of(self.memory)


def _address_of(memory: mmap.mmap) -> int:
    return np.frombuffer(memory, np.uint8).ctypes.data


def machine_id() -> str:
    """Return what two processes have in common if they can share memory.

    That is the running kernel and the network namespace.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    namespace = os.stat("/proc/self/ns/net").st_ino
    return f"{boot}-{namespace}"
