"""A running experiment, watched from a notebook: a picture that follows the run's directory, from any notebook.

A thread looks at the directory about twice a second and redraws if there is news, so that cells stay free. Nothing here
goes through pyplot, since the thread that draws is not the one that runs cells.
"""

import threading
import time
from collections.abc import Callable

from workbench.figures.alarms import alarms
from workbench.figures.curves import Against
from workbench.figures.live_figure import LIVE_DPI, LIVE_HEIGHT, LIVE_WIDTH, draw_live
from workbench.figures.style import png
from workbench.figures.tail import Tail
from workbench.notebook.screen import Screen
from workbench.storage.run import Run, RunState, RunStatus, find_run

PERIOD = 0.5  # seconds between looks
SHARE = 0.4  # of one core that drawing may take at most


class LiveView:
    """The live picture of one run; ``show`` in as many cells as wanted, ``finish`` freezes them all."""

    def __init__(
        self,
        run: Run,
        against: Against = "epochs",
        screen: Screen | None = None,
        seen: Callable[[Tail, bool], None] = lambda tail, going_on: None,
    ):
        self.run, self.against, self.error, self.frames = run, against, "", 0
        self.screen, self.seen = screen or live_screen(), seen  # ``seen`` is told of every look
        self._tail, self._cost = Tail(run), 0.0
        self._state = RunState.NEW
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self.look()

    def look(self) -> bool:
        """Draw once if there is anything new; whether the run still goes on."""
        with self._lock:
            status = self.run.status()
            fresh = self._tail.read() or status.state != self._state or not self.frames
            self._state = status.state
            if fresh:
                self._draw(status)
            self.seen(self._tail, self._state.active)
        return self._state.active

    def _draw(self, status: RunStatus) -> None:
        began = time.thread_time()
        worries = alarms(self._tail.rows["evaluate"], self._tail.rows["push"])
        fig = draw_live(self._tail, self.against, worries[0] if worries else "")
        self.screen.put(png(fig, LIVE_DPI))
        self.frames += 1
        self._cost = time.thread_time() - began
        recoveries = [row["text"] for row in self._tail.rows["recovery"]]
        words = [
            f"{self.run.name}: {status.state}",
            status.error,
            *worries,
            *recoveries[-1:],
        ]
        alarm = bool(worries) or status.state in (RunState.FAILED, RunState.DIVERGED, RunState.LOST)
        self.screen.say(" — ".join(w for w in words if w), alarm)

    def start(self) -> "LiveView":
        """Follow the run until it ends; returns at once."""
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(
                target=self._follow, daemon=True, name=f"live view of {self.run.name}"
            )
            self._thread.start()
        return self

    def _follow(self) -> None:
        try:
            while self.look() and not self._stop.wait(max(PERIOD, self._cost / SHARE)):
                pass
            self.screen.freeze()
        except Exception as problem:
            self.error = f"{type(problem).__name__}: {problem}"
            self.screen.say(
                f"the view failed: {self.error}", alarm=True
            )  # a thread's traceback is shown nowhere
            raise

    def show(self) -> "LiveView":
        """Display it here; again in another cell, e.g. after a reload, shows the same."""
        self.screen.show(live=self._state.active)
        return self

    def _ipython_display_(self) -> None:
        self.show()

    def detach(self) -> None:
        """Stop following; the run goes on."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def finish(self) -> "LiveView":
        """Stop following, draw the last frame, and leave a plain picture wherever it was shown."""
        self.detach()
        self.look()
        self.screen.freeze()
        return self


def live_screen() -> Screen:
    """A screen of the live picture's size."""
    return Screen(*(round(inch * LIVE_DPI) for inch in (LIVE_WIDTH, LIVE_HEIGHT)))


def attach(run: str | Run, against: Against = "epochs") -> LiveView:
    """Show a run live, whoever started it and wherever; a run that has ended is shown as it ended."""
    found = run if isinstance(run, Run) else find_run(run)
    view = LiveView(found, against).show()
    return view.start() if found.status().state.active else view
