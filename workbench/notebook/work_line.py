"""A line below a cell that shows how far its work is, and how long it will still take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from workbench.figures.dark import picture_html
from workbench.notebook.background import Background
from workbench.notebook.screen import NOTEBOOK_PACKAGE, message_html
from workbench.progress import Progress, duration_text, no_progress
from workbench.reports.render import render
from workbench.settings import UserError

if TYPE_CHECKING:
    from IPython.display import DisplayHandle

PICTURE_SECONDS = 5.0  # between two pictures; drawing one takes a tenth of a second
LINE_SECONDS = 0.5  # between two states of the line
RATED_SECONDS = 2.0  # of work, after which the time left is estimated

Show = Callable[[str], None]


class WorkLine:
    """How far one piece of work after another is; ``show`` gets each new state as HTML."""

    def __init__(self, show: Show, clock: Callable[[], float] = time.monotonic):
        self._show = show
        self._clock = clock
        self._what = ""
        self._began = 0.0
        self._begun_at = 0  # units that were done when the work was first reported
        self._shown = -LINE_SECONDS
        self._last = ""  # what stays when the work ends now

    def report(self, done: int, total: int, what: str) -> None:
        """Show ``done`` of ``total`` units of ``what``; a `Progress`."""
        now = self._clock()
        if what != self._what:
            self._what = what
            self._began = now
            self._begun_at = done
            self._shown = now - LINE_SECONDS

        seconds = now - self._began
        text = work_text(done, total, what, seconds, done - self._begun_at)
        self._last = ended_text(done, total, what, seconds)
        if now - self._shown >= LINE_SECONDS or done >= total:
            self._shown = now
            self._show(render(NOTEBOOK_PACKAGE, "work.html", text=text, done=done, total=total))

    def end(self) -> None:
        """Leave the last state without its bar; nothing if nothing was reported."""
        if self._last:
            self._show(render(NOTEBOOK_PACKAGE, "work.html", text=self._last, done=1, total=0))


def work_text(done: int, total: int, what: str, seconds: float, in_seconds: int) -> str:
    """Return how far work is; ``in_seconds`` units of it were done in the last ``seconds``."""
    text = so_far_text(done, total, what, seconds)
    if seconds >= RATED_SECONDS and in_seconds > 0 and done < total:
        left = seconds * (total - done) / in_seconds
        text += f", about {duration_text(left)} left"
    return text


def ended_text(done: int, total: int, what: str, seconds: float) -> str:
    """Return how far work was when it ended, which may be before its last unit."""
    early = ", where it ended" if done < total else ""
    return f"{so_far_text(done, total, what, seconds)}{early}"


def so_far_text(done: int, total: int, what: str, seconds: float) -> str:
    """Return how far work is, and for how long it has been done."""
    if total <= 0:
        return what
    return f"{what}: {100 * done / total:.0f} % ({done} of {total}) in {duration_text(seconds)}"


class GrowingPicture:
    """A picture below the line, drawn anew every few seconds while the work goes on.

    It appears with `begin`, which belongs to the thread of the cell: what other threads display is
    lost. ``draw`` returns a PNG, or nothing while there is nothing to draw.
    """

    def __init__(self, draw: Callable[[], bytes], period: float = PICTURE_SECONDS):
        self._draw = draw
        self._period = period
        self._background = Background("picture of a cell's work")
        self._handle: DisplayHandle | None = None
        self._begun = False

    def begin(self) -> None:
        """Make room for the picture and start to draw, once."""
        from IPython.display import HTML, display

        if not self._begun:
            self._begun = True
            self._handle = display(HTML(""), display_id=True)
            self._background.start(self._follow)

    def _follow(self) -> None:
        while not self._background.pause(self._period):
            try:
                png = self._draw()
            except (OSError, ValueError, KeyError, UserError) as problem:
                # A run that begins may lack files for a moment; its work goes on.
                self._update(message_html(f"no picture for now: {problem}"))
                continue
            if png:
                self._update(picture_html(png))

    def _update(self, html: str) -> None:
        if self._handle is not None:
            self._handle.update({"text/html": html, "text/plain": ""}, raw=True)

    def end(self) -> None:
        """Stop drawing, and take the picture away: the cell shows its result itself."""
        self._background.stop()
        self._update("")


@contextmanager
def work_line(draw: Callable[[], bytes] | None = None) -> Iterator[Progress]:
    """Give a `Progress` that shows a line in the current cell; outside a notebook it does nothing.

    The line appears with the first report, so that work that is done already shows nothing.
    ``draw``: what is shown below the line meanwhile, as PNG.
    """
    if not _in_notebook():
        yield no_progress
        return

    handles: list[DisplayHandle] = []
    picture = GrowingPicture(draw) if draw is not None else None

    def show(html: str) -> None:
        from IPython.display import HTML, display

        if handles:
            handles[0].update(HTML(html))
        else:
            made = display(HTML(html), display_id=True)
            handles.extend([made] if made is not None else [])
            if picture is not None:
                picture.begin()

    line = WorkLine(show)
    try:
        yield line.report
    finally:
        if picture is not None:
            picture.end()
        line.end()


def _in_notebook() -> bool:
    """Return whether this code runs in a cell of a notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None
