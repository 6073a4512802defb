"""Progress of long work: one bar per kind of work, with the time left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

from workbench.progress import Progress

TERMINAL_SECONDS = 0.2  # between two states of a bar on a terminal
LOG_SECONDS = 10.0  # in a log, which is read afterwards, a line now and then is enough


@contextmanager
def bars(file: TextIO | None = None) -> Iterator[Progress]:
    """Give a function (done, total, what) that draws a bar for each ``what``.

    On a terminal the bar moves; elsewhere it becomes plain lines. ``file`` is standard error by
    default.
    """
    out = file or sys.stderr
    interval = TERMINAL_SECONDS if out.isatty() else LOG_SECONDS
    shown: dict[str, tqdm] = {}

    def close_all() -> None:
        for bar in shown.values():
            bar.close()

    def progress(done: int, total: int, what: str) -> None:
        bar = shown.get(what)
        if bar is None:
            close_all()  # one bar at a time: earlier ones stay as they were
            bar = tqdm(total=total, desc=what, file=out, mininterval=interval, dynamic_ncols=True)
            shown[what] = bar
        bar.total = total
        bar.update(done - bar.n)
        if done >= total and not bar.disable:
            bar.close()

    try:
        yield progress
    finally:
        close_all()
