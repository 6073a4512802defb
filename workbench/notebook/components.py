"""The progress of each process of a run: what it has done, and when its last row was written."""

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.figures.tail import Tail
from workbench.notebook.screen import NOTEBOOK_PACKAGE
from workbench.reports.render import render

# What is counted per kind of row. Replicas are listed first, then decoders and evaluators.
COUNTED = {"push": "pushes", "decode": "utterances decoded", "evaluate": "evaluations"}
SILENT_SECONDS = 5.0  # of the run's clock, after which a process is reported as silent


@dataclass(frozen=True)
class Component:
    """One process: the number of its rows of each kind, and the time of the last one (s)."""

    name: str
    done: dict[str, int]
    seconds: float

    @property
    def order(self) -> tuple[int, int]:
        """A key that sorts replicas, decoders and evaluators each by their number."""
        kinds = list(COUNTED)
        number = self.name.rpartition(" ")[2]
        kind = min(kinds.index(kind) for kind in self.done)
        return kind, int(number) if number.isdigit() else 0

    @property
    def summary(self) -> str:
        """What the process has done, in words."""
        return ", ".join(f"{count} {COUNTED[kind]}" for kind, count in self.done.items())


def components(tail: Tail) -> list[Component]:
    """Return every process with counted rows: replicas, decoders, then evaluators."""
    found = []
    for name, counts in tail.counts.items():
        done = {kind: count for kind, count in counts.items() if kind in COUNTED}
        if done:
            found.append(Component(name, done, tail.heard[name]))
    return sorted(found, key=lambda component: component.order)


def components_html(found: Sequence[Component], running: bool) -> str:
    """Return a table of fixed height.

    While the run is ``running``, processes that are silent for long are named.
    """
    now = max((component.seconds for component in found), default=0.0)
    rows = []
    for component in found:
        state = _state(now - component.seconds) if running else "at rest"
        cells = [component.name, component.summary, f"{component.seconds:.1f} s", state]
        rows.append(cells)

    titles = ["component", "has done", "last heard at", "state"]
    return render(NOTEBOOK_PACKAGE, "components.html", titles=titles, rows=rows)


def _state(silent_seconds: float) -> str:
    if silent_seconds > SILENT_SECONDS:
        return f"silent for {silent_seconds:.0f} s"
    return "at work"
