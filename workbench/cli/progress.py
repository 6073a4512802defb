"""Progress of long work: a bar with the time left on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

from workbench.progress import Progress, duration_text

TERMINAL_SECONDS = 0.2  # between two states of a bar on a terminal
LINE_SECONDS = 30.0  # between two lines elsewhere; shorter work says nothing there
BAR = "{desc}: {percentage:3.0f} % |{bar}| {elapsed}, {remaining} left"


@contextmanager
def bars(file: TextIO | None = None) -> Iterator[Progress]:
    """Give a function (done, total, what) that shows how far each ``what`` is.

    On a terminal that is a bar for each. In a pipe or a log it is a line every half minute.
    ``file`` is standard error by default.
    """
    out = file or sys.stderr
    if not out.isatty():
        yield Lines(out).report
        return

    shown: dict[str, tqdm] = {}

    def close_all() -> None:
        for bar in shown.values():
            bar.close()

    def progress(done: int, total: int, what: str) -> None:
        bar = shown.get(what)
        if bar is None:
            close_all()  # one bar at a time: earlier ones stay as they were
            bar = tqdm(
                total=total,
                desc=what,
                file=out,
                mininterval=TERMINAL_SECONDS,
                dynamic_ncols=True,
                bar_format=BAR,
            )
            shown[what] = bar

        bar.total = total
        bar.update(done - bar.n)
        if done >= total and not bar.disable:
            bar.refresh()  # whatever the interval, the last state of a bar is its end
            bar.close()

    try:
        yield progress
    finally:
        close_all()


class Lines:
    """Lines about work for what is read later; ``clock`` gives seconds."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic):
        self._out = out
        self._clock = clock
        self._what = ""
        self._began = 0.0
        self._said: float | None = None

    def report(self, done: int, total: int, what: str) -> None:
        """Write a line if none was written for long, by this work or others; a `Progress`."""
        now = self._clock()
        if what != self._what:
            self._what = what
            self._began = now
        if self._said is None:
            self._said = now

        if now - self._said < LINE_SECONDS or total <= 0:
            return

        self._said = now
        so_far = duration_text(now - self._began)
        print(f"{what}: {100 * done / total:.0f} % in {so_far}", file=self._out, flush=True)
