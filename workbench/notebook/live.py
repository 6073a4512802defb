"""A live picture of a running experiment, from any notebook and whichever process started the run.

A thread looks at the run's directory about twice a second and redraws the picture if there are new
rows, so that cells stay free.
"""

import threading
import time
from collections.abc import Callable

from workbench.figures.alarms import alarms
from workbench.figures.curves import Against
from workbench.figures.live_figure import LIVE_DPI, LIVE_HEIGHT, LIVE_WIDTH, draw_live
from workbench.figures.style import png
from workbench.figures.tail import Tail
from workbench.notebook.background import Background
from workbench.notebook.given import runs_of
from workbench.notebook.screen import Screen
from workbench.notebook.work_line import RATED_SECONDS
from workbench.progress import duration_text
from workbench.storage.run import Run, RunState, RunStatus

LOOK_SECONDS = 0.5  # between looks
DRAWING_SHARE = 0.4  # of one core that drawing may take at most
ALARMING = (RunState.FAILED, RunState.DIVERGED, RunState.LOST)

Observer = Callable[[Tail, bool], None]


class LiveView:
    """The live picture of one run; `show` displays it in any number of cells.

    ``after_look`` is called after each look, with the rows and whether the run is still active.
    ``beside``: another run, whose curves are drawn in the same panels. ``error`` describes why
    following failed, or is empty.
    """

    def __init__(
        self,
        run: Run,
        against: Against = "epochs",
        screen: Screen | None = None,
        after_look: Observer | None = None,
        beside: Run | None = None,
    ):
        self.run = run
        self.beside = beside
        self.against = against
        self.screen = screen or live_screen()
        self.after_look = after_look
        self.tail = Tail(run)
        self.frames = 0  # pictures drawn
        self.error = ""

        self._epochs = _epochs_of(run)
        self._first_reached: tuple[float, float] | None = (
            None  # time (s) and epochs when first seen
        )
        self._shown_in: int | None = None  # the cell that showed the view last
        self._state = RunState.NEW
        self._drawing_seconds = 0.0  # of processor time that the last picture took
        self._lock = threading.Lock()
        self._background = Background(f"live view of {run.name}")
        self.look()

    def look(self) -> bool:
        """Draw the run if there is anything new; return whether the run is still active."""
        with self._lock:
            status = self.run.status()
            has_rows = self.tail.read()
            if has_rows or status.state != self._state or not self.frames:
                self._state = status.state
                self._draw(status)
            if self.after_look is not None:
                self.after_look(self.tail, self._state.active)

        return self._state.active

    def _draw(self, status: RunStatus) -> None:
        began = time.thread_time()
        reasons = alarms(self.tail.evaluations, self.tail.pushes)
        fig = draw_live(self.tail, self.against, reasons[0] if reasons else "", self.beside)
        self.screen.put(png(fig, LIVE_DPI))
        self.frames += 1
        self._drawing_seconds = time.thread_time() - began

        returns = [row.text for row in self.tail.returns]
        state = f"{self.run.name}: {status.state}"
        progress = self.progress_text(time.monotonic()) if status.state.active else ""
        parts = [state, progress, status.error, *reasons, *returns[-1:]]
        alarm = bool(reasons) or status.state in ALARMING
        self.screen.show_message(" — ".join(part for part in parts if part), alarm)

    def progress_text(self, now: float) -> str:
        """Return the epoch, the share of training that is done and the time left.

        ``now``: seconds of a clock of the computer, since a run's own clock may be virtual.
        """
        reached = reached_epochs(self.tail)
        if reached is None:
            return "not measured yet"

        if self._first_reached is None or reached < self._first_reached[1]:
            self._first_reached = (now, reached)
        share = min(1.0, reached / self._epochs)
        text = f"epoch {reached:.2f} of at most {self._epochs:g} ({share:.0%})"
        began, first = self._first_reached
        seconds = now - began
        if seconds >= RATED_SECONDS and reached > first:
            left = seconds * max(0.0, self._epochs - reached) / (reached - first)
            text += f", about {duration_text(left)} left"
        return text

    def start(self) -> "LiveView":
        """Follow the run in a thread until it ends; return at once."""
        if not self._background.running:
            self._background.start(self.follow)
        return self

    def follow(self) -> None:
        """Follow the run in this thread until it ends; errors are shown in the view and raised."""
        try:
            while self.look():
                pause = max(LOOK_SECONDS, self._drawing_seconds / DRAWING_SHARE)
                if self._background.pause(pause):
                    break
            self.screen.freeze()
        except Exception as problem:
            # A notebook does not show the traceback of a thread.
            self.error = f"{type(problem).__name__}: {problem}"
            self.screen.show_message(f"the view failed: {self.error}", alarm=True)
            raise

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run is no longer followed or ``timeout`` s are over; return which.

        True means that it is no longer followed.
        """
        return self._background.wait(timeout)

    def show(self) -> "LiveView":
        """Display the picture in the current cell; every cell shows the same."""
        self.screen.show(live=self._state.active)
        self._shown_in = _current_cell()
        return self

    def _ipython_display_(self) -> None:
        cell = _current_cell()
        if cell is None or cell != self._shown_in:  # `attach` has shown it in this cell
            self.show()

    def detach(self) -> None:
        """Stop following; the run continues."""
        self._background.stop()

    def finish(self) -> "LiveView":
        """Stop following, draw the last frame, and leave a plain picture in every output."""
        self.detach()
        self.look()
        self.screen.freeze()
        return self


def reached_epochs(tail: Tail) -> float | None:
    """Return how many epochs a run has trained; None before its first measurement after a push.

    Measurements are rare, so pushes since the last one count as many epochs as those before it.
    """
    evaluations = tail.evaluations
    if not evaluations:
        return None
    last = evaluations[-1]
    if not last.updates:
        return last.epochs
    pushed = max(tail.total["push"], last.updates)
    return last.epochs * pushed / last.updates


def _epochs_of(run: Run) -> float:
    """Return for how many epochs a run trains at most."""
    return max(run.settings.batches.epochs, 1e-9)


def _current_cell() -> int | None:
    """Return the number of the cell that runs; None outside a notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return None if shell is None else int(shell.execution_count)


def live_screen() -> Screen:
    """Return a screen of the live picture's size."""
    return Screen(round(LIVE_WIDTH * LIVE_DPI), round(LIVE_HEIGHT * LIVE_DPI))


def attach(
    run: str | Run, against: Against = "epochs", beside: str | Run | None = None
) -> LiveView:
    """Display a run live, whichever process started it, or as it ended.

    ``beside``: another run, whose curves stand in the same panels.
    """
    (found,) = runs_of(run)
    other = None if beside is None else runs_of(beside)[0]
    view = LiveView(found, against, beside=other).show()
    if found.status().state.active:
        view.start()
    return view
