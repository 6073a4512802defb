"""A baseline in a cell: a line about the work, and the curves of each training while it goes on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.baseline import Baseline, Request, make_baseline
from workbench.notebook.background import Background
from workbench.notebook.live import LiveView, live_screen
from workbench.notebook.screen import Screen
from workbench.notebook.work_line import work_line
from workbench.prepare.reading import Source, guess_source
from workbench.settings import Value
from workbench.storage.run import Run, RunState, newest_run

LOOK_SECONDS = 0.5  # between looks whether a run has begun


def baseline(
    name: str,
    source: Source | Path | str | None = None,
    *,
    criterion: str = "mmi",
    seeds: Sequence[int] = (0,),
    hours: float = 0.0,
    frame: Mapping[str, Value] | None = None,
    sequence: Mapping[str, Value] | None = None,
    **both: Value,
) -> Baseline:
    """Make what is missing of a baseline and show it live; return it when it is done.

    ``source``: a folder of Kaldi data directories or of Lhotse manifests, or a `Source`; without
    one the corpus ``name`` exists. ``frame``, ``sequence``, ``both``: settings of cross entropy, of
    what follows, and of both; what is not given is chosen by the data. ``hours``: how long it may
    take. Raises KeyboardInterrupt if a run is stopped; the same cell goes on.
    """
    request = Request(
        name=name,
        source=guess_source(Path(source)) if isinstance(source, str | Path) else source,
        criterion=criterion,
        seeds=tuple(seeds),
        both=both,
        frame=frame or {},
        sequence=sequence or {},
        hours=hours,
    )
    cell = BaselineCell()
    try:
        with work_line() as progress:
            return make_baseline(request, progress=progress, follow=cell.follow)
    finally:
        cell.finish()


class BaselineCell:
    """The curves of each training of a baseline, in the cell that makes it."""

    def __init__(self) -> None:
        self.view: LiveView | None = None
        self._screen: Screen | None = None
        self._background = Background("curves of a baseline")

    def follow(self, name: str) -> None:
        """Show the curves of the run ``name`` from when it begins to when it ends."""
        self.finish()
        self._screen = live_screen()
        self._screen.show()
        self._background.start(lambda: self._attach(name))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has begun; return whether it has."""
        return self._background.wait(timeout)

    def finish(self) -> None:
        """Draw the last picture, and leave it in the cell."""
        self._background.stop()
        if self.view is not None:
            self.view.finish()
        elif self._screen is not None:
            self._screen.freeze()
        self.view = None
        self._screen = None

    def _attach(self, name: str) -> None:
        """Wait until the run has begun, then follow it."""
        while not self._background.pause(LOOK_SECONDS):
            run = newest_run(name)
            if run is not None and _goes_on(run):
                self.view = LiveView(run, screen=self._screen).start()
                return


def _goes_on(run: Run) -> bool:
    """Whether a process works on a run now."""
    return run.status().state == RunState.RUNNING
