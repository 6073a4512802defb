"""The staleness explorer: sliders for the machine, and what it does to gradients."""

import math
from typing import NamedTuple

import ipywidgets as W
import pandas as pd

from workbench.figures.staleness import ages, draw_ages
from workbench.figures.style import PngFigure, figure_with_panel, line_style, png, set_y_title
from workbench.figures.timeline import draw_stretches, stretches
from workbench.notebook.panels.parts import Status, help_text
from workbench.notebook.screen import Screen, picture_widget
from workbench.runs.toy import Exploration, expected_age, explore
from workbench.settings import Setting, Value, parse_fields, settings_of

EXPLORED_AGES = ("staleness_inner", "staleness_outer", "outer_seconds")
EXPLORER_DPI = 80
EXPLORED_PROCESSES = 12  # that the timeline shows
EXPLORED_SECONDS = 20.0  # of the timeline
SETTLED_PART = 0.4  # of the time, after which all slots are full
SLIDER_STEPS = 200
MESSAGE_HEIGHT = "96px"  # five lines beside the pictures; a height that changed would move them
LOG_STEP = 0.01  # of a power of ten


AGES_SIZE = (744, 224)  # pixels
TIMELINE_SIZE = (680, 310)  # pixels
CONVERGENCE_SIZE = (600, 176)  # pixels


class ExplorationFigures(NamedTuple):
    """Histograms of staleness, a part of the timeline, and convergence."""

    ages: PngFigure
    timeline: PngFigure
    convergence: PngFigure


def draw_convergence(rows: pd.DataFrame) -> PngFigure:
    """Draw the distance to the target against time; it rises where asynchrony hurts."""
    fig, ax = figure_with_panel(7.5, 2.2)
    table = rows[rows.kind == "evaluate"]
    ax.plot(table.seconds, -table.mmi, marker=".", **line_style(0))
    ax.set_xlabel("time (s)")
    set_y_title(ax, "distance to the target")
    ax.set_ylim(bottom=0)
    return fig


def draw_exploration(rows: pd.DataFrame, most: int = EXPLORED_PROCESSES) -> ExplorationFigures:
    """Draw the rows of an exploration; the timeline has at most ``most`` processes."""
    pushes = rows[rows.kind == "push"]
    end = float(rows.seconds.max())
    settled = SETTLED_PART * end
    return ExplorationFigures(
        ages=draw_ages(ages(pushes, "toy", EXPLORED_AGES), ["toy"]),
        timeline=draw_stretches(
            stretches(rows), settled, min(end, settled + EXPLORED_SECONDS), most
        ),
        convergence=draw_convergence(rows),
    )


class StalenessPanel:
    """Sliders and three figures."""

    def __init__(self, **values: Value):
        self.status = Status()
        self.status.line.layout.height = MESSAGE_HEIGHT
        self.fields = settings_of(Exploration)
        exploration = parse_fields(Exploration, values)
        self.sliders = {
            name: slider(field, getattr(exploration, name)) for name, field in self.fields.items()
        }
        sizes = (AGES_SIZE, TIMELINE_SIZE, CONVERGENCE_SIZE)
        self.pictures = [picture_widget(*size) for size in sizes]
        rows = [W.VBox([self.sliders[name], help_text(f)]) for name, f in self.fields.items()]
        sliders = W.VBox(
            [*rows, self.status.widget], layout=W.Layout(width="29em", flex="0 0 auto")
        )
        # Pictures shrink where there is little room: below the sliders they would be out of sight.
        beside = W.VBox(self.pictures, layout=W.Layout(flex="1 1 0", min_width="20em"))
        self.widget = W.HBox([sliders, beside])
        self.screen = Screen(*AGES_SIZE, shown=self.widget)  # of what a saved notebook keeps

        for made in self.sliders.values():
            made.observe(self.status.guard(self.draw), "value")
        self.draw()

    def value(self) -> Exploration:
        """Return the exploration that the sliders describe."""
        values = {name: made.value for name, made in self.sliders.items()}
        return parse_fields(Exploration, values)

    def draw(self) -> None:
        """Run the toy and draw its rows."""
        exploration = self.value()
        expected = f"expected before the run: {_expected(exploration)}"
        self.status.show_message(expected)

        rows = explore(exploration)
        drawn = [png(fig, EXPLORER_DPI) for fig in draw_exploration(rows)]
        for picture, data in zip(self.pictures, drawn, strict=True):
            picture.value = data
        self.screen.put(drawn[0])
        self.status.show_message(f"{expected}; measured: {_summary(rows)}")

    def _ipython_display_(self) -> None:
        self.screen.show()


def _expected(exploration: Exploration) -> str:
    """What the closed form says of the ages of outer gradients, or why it says nothing."""
    if exploration.decoder_seconds:
        return "more updates than without common fetches"
    age = expected_age(exploration)
    return f"outer gradients {age.low:.0f} to {age.high:.0f} updates old"


def _summary(rows: pd.DataFrame) -> str:
    pushes = rows[rows.kind == "push"]
    return (
        f"{len(pushes)} updates in {rows.seconds.max():.0f} s; "
        f"inner gradients {pushes.staleness_inner.mean():.1f} updates old, "
        f"outer ones {pushes.staleness_outer.mean():.0f} updates "
        f"and {pushes.outer_seconds.mean():.1f} s"
    )


def slider(field: Setting, value: Value) -> W.Widget:
    """Return a slider for a setting that has a range; logarithmic for numbers that are above 0."""
    if field.low is None or field.high is None:
        raise TypeError(f"{field.name}: a slider needs a range")

    low = field.low
    high = field.high
    common = {
        "value": value,
        "description": field.name,
        "continuous_update": False,
        "layout": W.Layout(width="28em"),
        "style": {"description_width": "9em"},
    }
    if field.kind is int:
        return W.IntSlider(min=low, max=high, **common)
    if low > 0:
        limits = {"min": math.log10(low), "max": math.log10(high)}
        return W.FloatLogSlider(readout_format=".3g", step=LOG_STEP, **limits, **common)

    return W.FloatSlider(min=low, max=high, step=(high - low) / SLIDER_STEPS, **common)


def staleness_panel(**values: Value) -> StalenessPanel:
    """Return the staleness explorer; ``values``: fields of `Exploration` for the sliders."""
    return StalenessPanel(**values)
