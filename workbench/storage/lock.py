"""Locks between processes of one machine; the system gives them back when a process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.storage.files import naming, open_like_folder


class LockHeld(Exception):
    """Another process holds the lock; the message is its process id."""


@contextmanager
def hold_lock(path: Path, wait: bool) -> Iterator[None]:
    """Hold the lock that the file ``path`` stands for.

    Held by another process, it is waited for, or else LockHeld is raised at once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", opener=open_like_folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LockHeld(lock.read().strip() or "unknown") from None
        with naming(path):
            lock.truncate(0)
            os.write(lock.fileno(), str(os.getpid()).encode())
        yield
