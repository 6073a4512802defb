"""Curves of runs as a page with zoom, hover and a legend that hides lines; it needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.figures.curves import AXES, DEFAULT_MEASURES, MEASURES, Against, curves
from workbench.figures.style import COLOURS
from workbench.figures.sweep_columns import ColumnPlot, PointPanel, offset_of
from workbench.settings import UserError
from workbench.storage.files import write_file
from workbench.storage.run import Run

if TYPE_CHECKING:
    from bokeh.plotting import figure as BokehFigure

HEIGHT = 320  # pixels of one figure
DASHES = ("solid", "dashed", "dotted", "dashdot", "dotdash")
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"


def write_interactive(groups: Mapping[str, Sequence[Run]], out: Path, title: str) -> Path:
    """Write the page about groups of runs, by label; return its file."""
    write_file(out, interactive_page(groups, title).encode())
    return out


def interactive_page(groups: Mapping[str, Sequence[Run]], title: str) -> str:
    """Return a page with a tab per axis and a figure per measure, the scripts inside it."""
    _require_bokeh()
    from bokeh.embed import file_html
    from bokeh.layouts import column
    from bokeh.models import TabPanel, Tabs
    from bokeh.resources import INLINE

    panels = []
    for against, name in AXES.items():
        figures = [_figure(groups, measure, against) for measure in DEFAULT_MEASURES]
        drawn = [fig for fig in figures if fig is not None]
        if drawn:
            content = column(*drawn, sizing_mode="stretch_width")
            panels.append(TabPanel(child=content, title=name))

    if not panels:
        raise UserError("nothing was measured yet, so there is no curve to draw")

    return file_html(Tabs(tabs=panels, sizing_mode="stretch_width"), INLINE, title)


def column_page(plot: ColumnPlot, title: str) -> str:
    """Return a page of columns against each other: hover names a run, the panels zoom together."""
    _require_bokeh()
    from bokeh.embed import file_html
    from bokeh.layouts import row
    from bokeh.resources import INLINE

    figures: list[BokehFigure] = []
    for panel in plot.panels:
        fig = _column_figure(plot, panel)
        if figures:
            fig.x_range = figures[0].x_range
            fig.y_range = figures[0].y_range
        figures.append(fig)

    return file_html(row(*figures, sizing_mode="stretch_width"), INLINE, title)


def _column_figure(plot: ColumnPlot, panel: PointPanel) -> "BokehFigure":
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.plotting import figure

    fig = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        x_axis_label=plot.x_title,
        y_axis_label=plot.y_title,
        title=panel.title,
        tools=TOOLS,
    )
    labels = plot.labels
    for group in panel.groups:
        offset = offset_of(group.label, labels) if plot.categories else 0.0
        points = {"x": group.x + offset, "y": group.y, "run": group.names}
        fig.scatter(
            "x",
            "y",
            source=ColumnDataSource(points),
            size=9,
            alpha=0.8,
            color=COLOURS[labels.index(group.label) % len(COLOURS)],
            legend_label=group.label,
        )

    if plot.categories:
        fig.xaxis.ticker = list(range(len(plot.categories)))
        fig.xaxis.major_label_overrides = dict(enumerate(plot.categories))
        tips = [("run", "@run"), (plot.y_title, "@y{0.[0000]}")]
    else:
        tips = [
            ("run", "@run"),
            (plot.x_title, "@x{0.[0000]}"),
            (plot.y_title, "@y{0.[0000]}"),
        ]

    fig.add_tools(HoverTool(tooltips=tips))

    if panel.groups:
        fig.legend.click_policy = "hide"
        fig.add_layout(fig.legend[0], "below")

    return fig


def _require_bokeh() -> None:
    """Raise UserError where bokeh is not installed."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        raise UserError("interactive pages need bokeh: pip install 'workbench[cluster]'") from None


def _figure(
    groups: Mapping[str, Sequence[Run]], measure: str, against: Against
) -> "BokehFigure | None":
    """Return one figure, or None if no run has the measure."""
    from bokeh.models import ColumnDataSource, HoverTool
    from bokeh.models.renderers import DataRenderer
    from bokeh.plotting import figure

    shown = MEASURES[measure]
    fig = figure(
        height=HEIGHT,
        sizing_mode="stretch_width",
        x_axis_label=AXES[against],
        y_axis_label=shown.title,
        title=shown.title,
        tools=TOOLS,
    )
    points: list[DataRenderer] = []
    for number, (label, runs) in enumerate(groups.items()):
        for curve in curves(runs, measure, against):
            source = ColumnDataSource(
                {"x": curve.x, "y": curve.y, "run": [curve.run] * len(curve.x)}
            )
            colour = COLOURS[number % len(COLOURS)]
            dash = DASHES[number // len(COLOURS) % len(DASHES)]
            line = fig.line("x", "y", source=source, line_width=2, legend_label=label)
            line.glyph.update(line_color=colour, line_dash=dash)
            marks = fig.scatter("x", "y", source=source, size=5, color=colour, legend_label=label)
            points.append(marks)

    if not points:
        return None

    tips = [("run", "@run"), (AXES[against], "@x{0.[00]}"), (shown.title, "@y{0.[0000]}")]
    fig.add_tools(HoverTool(tooltips=tips, renderers=points))  # lines would answer a second time
    fig.legend.click_policy = "hide"
    fig.legend.orientation = "horizontal"
    fig.legend.location = "left"
    fig.add_layout(fig.legend[0], "below")

    return fig
