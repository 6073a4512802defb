"""A running experiment, watched from a notebook: a picture that follows the run's directory, from any notebook.

A thread polls the directory about twice a second and replaces the bytes of one image widget, so that cells stay free,
nothing flickers and the page does not jump. The picture also lies in the output as a plain PNG, and when the run ends
nothing but that PNG stays: the saved notebook shows it without a kernel. Nothing here goes through pyplot, since the
thread that draws is not the one that runs cells.
"""

import base64
import html
import io
import threading
import time
from typing import Any

from workbench.store import Run, find_run
from workbench.views.alarms import alarms
from workbench.views.curves import Against
from workbench.views.live_figure import DPI, INCHES, draw_live
from workbench.views.tail import Tail

VIEW = "application/vnd.jupyter.widget-view+json"
PERIOD = 0.5  # seconds between looks
SHARE = 0.4  # of one core that drawing may take at most
GOING_ON = ("running", "new")


class LiveView:
    """The live picture of one run; ``show`` in as many cells as wanted, ``finish`` freezes them all."""

    def __init__(self, run: Run, against: Against = "epochs"):
        self.run, self.against, self.error, self.frames = run, against, "", 0
        self._tail, self._cost, self._state = Tail(run), 0.0, ""
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._handles: list[Any] = []
        self.image, self.line = _widgets()
        self.png = b""
        self.look()

    def look(self) -> bool:
        """Draw once if there is anything new; whether the run still goes on."""
        with self._lock:
            status = self.run.status()
            fresh = self._tail.read() or status["state"] != self._state or not self.png
            self._state = status["state"]
            if fresh:
                self._draw(status)
        return self._state in GOING_ON

    def _draw(self, status: dict[str, Any]) -> None:
        began = time.thread_time()
        worries = alarms(self._tail.rows["evaluate"], self._tail.rows["push"])
        fig = draw_live(self._tail, self.against, worries[0] if worries else "")
        self.png = _rendered(fig)
        self.frames += 1
        self._cost = time.thread_time() - began
        self._say(status["state"], status.get("error", ""), worries)
        if self.image is not None:
            self.image.value = self.png

    def _say(self, state: str, error: str, worries: list[str]) -> None:
        colour = "#b00020" if error or worries or state in ("failed", "diverged", "lost") else "#333333"
        words = " — ".join([f"{self.run.name}: {state}", *([error] if error else []), *worries])
        if self.line is not None:
            self.line.value = f'<span style="color:{colour}">{html.escape(words)}</span>'

    def start(self) -> "LiveView":
        """Follow the run until it ends; returns at once."""
        if self._thread is None or not self._thread.is_alive():
            self._stop.clear()
            self._thread = threading.Thread(target=self._follow, daemon=True, name=f"live view of {self.run.name}")
            self._thread.start()
        return self

    def _follow(self) -> None:
        try:
            while self.look() and not self._stop.wait(max(PERIOD, self._cost / SHARE)):
                pass
            self._freeze()
        except Exception as problem:
            self.error = f"{type(problem).__name__}: {problem}"
            self._say("the view failed", self.error, [])  # the traceback of a thread is shown nowhere in a notebook
            raise

    def show(self) -> "LiveView":
        """Display it here; again in another cell, after a reload of an unsaved page, shows the same."""
        from IPython.display import display

        if self.image is None or self._state not in GOING_ON:
            display(self._static(), raw=True)
            return self
        bundle = self.image._repr_mimebundle_()
        view = (bundle[0] if isinstance(bundle, tuple) else bundle)[VIEW]
        display(self.line)
        self._handles.append(display({VIEW: view, **self._static()}, raw=True, display_id=True))
        return self

    def _ipython_display_(self) -> None:
        self.show()

    def finish(self) -> "LiveView":
        """Stop following, draw the last frame, and leave a plain picture wherever it was shown."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self.look()
        self._freeze()
        return self

    def _freeze(self) -> None:
        for handle in self._handles:
            if handle is not None:
                handle.update(self._static(), raw=True)

    def _static(self) -> dict[str, str]:
        return {"image/png": base64.b64encode(self.png).decode(), "text/plain": f"live view of {self.run.name}"}


def _rendered(fig: Any) -> bytes:
    """PNG of exactly the figure's size."""
    out = io.BytesIO()
    fig.canvas.print_png(out)
    return out.getvalue()


def _widgets() -> tuple[Any, Any]:
    """An image and a line of text; None where widgets are not installed: then the picture is static."""
    try:
        import ipywidgets
    except ImportError:
        return None, None
    width, height = (str(round(inch * DPI)) for inch in INCHES)
    image = ipywidgets.Image(format="png", width=width, height=height)
    image.layout.min_height = f"{height}px"
    image.add_class("workbench-live")
    return image, ipywidgets.HTML()


def attach(run: str | Run, against: Against = "epochs") -> LiveView:
    """Show a run live, whoever started it and wherever; a run that has ended is shown as it ended."""
    found = run if isinstance(run, Run) else find_run(run)
    view = LiveView(found, against)
    view.show()
    return view.start() if found.status()["state"] in GOING_ON else view
