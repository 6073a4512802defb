"""One arithmetic thread for as long as workbench computes, whatever the user's process has set.

Two threads within one product are 5 to 20 times slower as soon as anything else runs on the
machine, so workbench works in parallel by processes. OpenMP keeps a number of threads for each
thread of the process, OpenBLAS one for the process, torch both. All of them are set on entering
`one_thread` and restored on leaving it.
"""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class _ThisThread(threading.local):
    """Whether this thread is inside `one_thread` already."""

    inside = False


class _TorchThreads:
    """torch's number for the process: the first thread to enter notes it, and the last one to leave
    restores it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entered = 0  # threads that are inside
        self.before = 0

    def enter(self) -> None:
        with self.lock:
            if self.entered == 0:
                self.before = torch.get_num_threads()
            self.entered += 1

    def leave(self) -> None:
        with self.lock:
            self.entered -= 1
            if self.entered == 0:
                torch.set_num_threads(self.before)


_this_thread = _ThisThread()
_torch_threads = _TorchThreads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch, OpenMP and BLAS to one thread inside the context; any thread may enter, several
    at once too.

    Of threads that overlap, the first one to enter is the one whose leaving restores BLAS. Where
    torch has more threads than one, entering and leaving takes about 10 milliseconds, because torch
    makes its threads anew. Inside another context of the same thread it takes a microsecond, and
    while another thread is inside 20 microseconds. So long work enters once, outside its loops.
    """
    if _this_thread.inside:
        yield
        return

    libraries = _loaded_libraries()
    _torch_threads.enter()  # before OpenMP is limited, since torch asks OpenMP for its number
    with libraries.limit(limits=1):
        _this_thread.inside = True
        torch.set_num_threads(1)
        try:
            yield
        finally:
            _this_thread.inside = False
            _torch_threads.leave()


def stay_at_one_thread() -> None:
    """Limit torch, OpenMP and BLAS to one thread for the rest of this process, which must belong to
    workbench.
    """
    _loaded_libraries().limit(limits=1)
    torch.set_num_threads(1)


@functools.cache
def _loaded_libraries() -> Any:
    """Return the controller of the OpenMP and BLAS libraries of this process.

    Looking for them takes a millisecond, so it is done once. threadpoolctl is imported here because
    its import changes the environment.
    """
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
