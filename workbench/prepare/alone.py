"""One process at a time prepares a corpus."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.settings import UserError


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a corpus's folder; raises UserError that names the process which has it.

    The lock lies beside the folder, which preparation may remove. The system gives it back when
    the process ends, however it ends.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f".{folder.name}.lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UserError(
                f"{folder.name}: process {holder} is preparing this corpus; wait for it, stop it, "
                "or choose another name"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
