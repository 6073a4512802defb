"""The staleness explorer: sliders for the machine, a toy for the arithmetic, and what that does to gradients."""

import math
from typing import Any

import ipywidgets as W
import pandas as pd
from matplotlib.figure import Figure

from workbench.figures.staleness import ages, draw_ages
from workbench.figures.style import line_style, picture, png
from workbench.figures.timeline import draw_stretches, stretches
from workbench.notebook.panels.parts import Status, bounds
from workbench.notebook.screen import Screen
from workbench.runs.toy import Exploration, explore
from workbench.settings import Setting, settings_of

COLUMNS = ("staleness_inner", "staleness_outer", "outer_seconds")
DPI = 80


def draw_convergence(rows: pd.DataFrame) -> Figure:
    """Distance to the target against time: where asynchrony begins to hurt it stops falling, or rises."""
    fig, ax = picture(7.5, 2.2)
    table = rows[rows.kind == "evaluate"]
    ax.plot(table.seconds, -table.mmi, marker=".", **line_style(0))
    ax.set_xlabel("time (s)")
    ax.set_ylabel("distance to the target")
    ax.set_ylim(bottom=0)
    return fig


def draw_exploration(rows: pd.DataFrame, most: int = 12) -> tuple[Figure, Figure, Figure]:
    """Histograms of staleness, a stretch of the timeline, and convergence."""
    found = ages(rows[rows.kind == "push"], "toy", COLUMNS)
    end = float(rows.seconds.max())
    spans = stretches(rows)
    middle = 0.4 * end  # by then the slots are full and the machine runs as it will run
    return (
        draw_ages(found, ["toy"]),
        draw_stretches(spans, middle, min(end, middle + 20), most),
        draw_convergence(rows),
    )


class StalenessPanel:
    """Sliders and three pictures."""

    def __init__(self, **values: Any):
        self.status, what = Status(), Exploration(**values)
        self.fields = settings_of(Exploration)
        self.sliders = {
            name: self._slider(f, getattr(what, name)) for name, f in self.fields.items()
        }
        self.screens = [Screen(690, 210), Screen(680, 310), Screen(600, 176)]
        rows = [
            W.HBox([s, W.HTML(f"<small>{bounds(self.fields[n])}</small>")])
            for n, s in self.sliders.items()
        ]
        self.widget = W.VBox([*rows, self.status.widget])
        for slider in self.sliders.values():
            slider.observe(self.status.guarded(self.draw), "value")
        self.draw()

    def _slider(self, field: Setting, value: Any) -> W.Widget:
        low, high = field.low, field.high
        about: dict[str, Any] = {
            "description": field.name,
            "continuous_update": False,
            "layout": W.Layout(width="28em"),
        }
        about["style"] = {"description_width": "9em"}
        if field.kind is int:
            return W.IntSlider(value=value, min=low, max=high, **about)
        if low > 0:
            return W.FloatLogSlider(value=value, min=math.log10(low), max=math.log10(high), **about)
        return W.FloatSlider(value=value, min=low, max=high, step=(high - low) / 200, **about)

    def value(self) -> Exploration:
        """What the sliders say."""
        return Exploration(**{n: self.fields[n].parse(s.value) for n, s in self.sliders.items()})

    def draw(self) -> None:
        """Run the toy and draw."""
        rows = explore(self.value())
        for screen, fig in zip(self.screens, draw_exploration(rows), strict=True):
            screen.put(png(fig, DPI))
        pushes = rows[rows.kind == "push"]
        inner, outer = pushes.staleness_inner.mean(), pushes.staleness_outer.mean()
        words = f"{len(pushes)} updates in {rows.seconds.max():.0f} s; inner gradients {inner:.1f} updates old, "
        self.status.say(
            words + f"outer ones {outer:.0f} updates and {pushes.outer_seconds.mean():.1f} s"
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.widget)
        for screen in self.screens:
            screen.show()


def staleness_panel(**values: Any) -> StalenessPanel:
    """The staleness explorer; ``values`` set the sliders."""
    return StalenessPanel(**values)
