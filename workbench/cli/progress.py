"""Progress of long work: one bar per kind of work, with the time left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from workbench.progress import Progress


@contextmanager
def bars(file=None) -> Iterator[Progress]:
    """A function (done, total, what) that draws a bar for each ``what`` on a terminal, elsewhere plain lines."""
    shown: dict[str, tqdm] = {}
    file = file or sys.stderr
    interval = (
        0.2 if file.isatty() else 10.0
    )  # a log is read afterwards: a line now and then is enough

    def progress(done: int, total: int, what: str) -> None:
        bar = shown.get(what)
        if bar is None:
            for other in shown.values():  # one bar at a time: what came before stays as it was
                other.close()
            bar = shown[what] = tqdm(
                total=total, desc=what, file=file, mininterval=interval, dynamic_ncols=True
            )
        bar.total = total
        bar.update(done - bar.n)
        if done >= total and not bar.disable:
            bar.close()

    try:
        yield progress
    finally:
        for bar in shown.values():
            bar.close()
