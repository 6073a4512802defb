"""One style for every figure, readable in grey and for the colour-blind.

The style is set on each figure and its axes. Matplotlib's global parameters stay as the user has
them, and a thread may draw while another one draws or changes them.
"""

import base64
import io
import textwrap
from collections.abc import Sequence
from typing import Literal, TypedDict

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import FuncFormatter

from workbench.figures.dark import picture_html
from workbench.figures.text import printable_text

# Okabe and Ito's palette, in an order in which neighbours differ in lightness too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

Dash = Literal["-", "--", "-.", ":"] | tuple[float, Sequence[float]]
# Dashes distinguish as many lines as there are colours where the figure is printed in grey.
DASHES: tuple[Dash, ...] = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
    (0, (1, 1)),
)

FONT_SIZE = 9.0  # points
LEGEND_SIZE = 8.0  # points
LINE_WIDTH = 1.6  # points
LEGEND_SAMPLE = 0.6  # inches, of a line's sample in a legend and what is around it
CHARACTER_WIDTH = 0.068  # inches, of a character in a legend
Y_TITLE_SHARE = 0.85  # of a panel's height, of which a legend below takes the rest
POINTS_PER_INCH = 72
MARK_ABOVE = "^"  # at the edge of a panel, for what it leaves out
MARK_BELOW = "v"
HATCH_WIDTH = 0.4  # points
GRID_WIDTH = 0.6  # points
GRID_COLOUR = "#dddddd"
NOTEBOOK_DPI = 110
PANEL_DPI = 84
REPORT_DPI = 130

Place = Literal["best", "upper right"]
Weight = Literal["normal", "bold"]


class LineStyle(TypedDict):
    """Keyword arguments of matplotlib that give a line its style."""

    color: str
    linestyle: Dash
    linewidth: float


class PngFigure(Figure):
    """A figure that a notebook shows as a PNG, without pyplot or settings of IPython.

    Its texts come from data, so none of them is a formula, whatever it holds. ``keeps_colours``:
    whether light and dark mean something in it, so that a dark page leaves it as it is.
    """

    keeps_colours = False

    def draw(self, renderer: RendererBase) -> None:
        """Draw the figure, with every text taken literally."""
        _take_literally(self)
        super().draw(renderer)

    def _repr_png_(self) -> bytes:
        return png(self)

    def _repr_html_(self) -> str:
        return picture_html(png(self), self.keeps_colours)


def figure_with_panel(width: float, height: float) -> tuple[PngFigure, Axes]:
    """Return a figure of ``width`` x ``height`` inches with one panel."""
    fig = _empty_figure(width, height)
    return fig, _apply_style(fig.add_subplot())


def figure_with_columns(
    width: float, height: float, columns: int, share_y: bool = False
) -> tuple[PngFigure, list[Axes]]:
    """Return a figure of ``width`` x ``height`` inches with ``columns`` panels side by side."""
    fig = _empty_figure(width, height)
    axes = fig.subplots(ncols=columns, squeeze=False, sharey=share_y)
    return fig, [_apply_style(ax) for ax in axes[0]]


def figure_with_wrapped_panels(
    width: float, height: float, panels: int, across: int
) -> tuple[PngFigure, list[Axes]]:
    """Return a figure of ``width`` x ``height`` inches with ``panels``, ``across`` of them a row.

    They stand in the order of reading.
    """
    fig = _empty_figure(width, height)
    down = -(-panels // across)
    axes = [fig.add_subplot(down, across, number + 1) for number in range(panels)]
    return fig, [_apply_style(ax) for ax in axes]


def figure_with_rows(
    width: float, height: float, row_heights: Sequence[float]
) -> tuple[PngFigure, list[Axes]]:
    """Return a figure with panels of relative ``row_heights`` and one axis of x for all.

    ``width`` and ``height`` are inches.
    """
    fig = _empty_figure(width, height)
    axes = fig.subplots(
        nrows=len(row_heights), squeeze=False, sharex=True, height_ratios=row_heights
    )
    return fig, [_apply_style(row[0]) for row in axes]


def figure_with_grid(
    width: float, height: float, rows: int, columns: int
) -> tuple[PngFigure, list[list[Axes]]]:
    """Return a figure of ``width`` x ``height`` inches with panels [rows][columns].

    It has no layout engine: the caller sets the margins, which takes less time at each drawing.
    """
    fig = PngFigure(figsize=(width, height))
    FigureCanvasAgg(fig)
    axes = fig.subplots(rows, columns, squeeze=False)
    return fig, [[_apply_style(ax) for ax in row] for row in axes]


def _take_literally(fig: Figure) -> None:
    """Make dollars in texts mean dollars, and replace what no font can show.

    The numbers at axes keep their formulas: powers of ten are made by matplotlib itself.
    """
    numbers = set()
    for ax in fig.axes:
        for axis in (ax.xaxis, ax.yaxis):
            formatter = axis.get_major_formatter()
            if type(formatter) is FuncFormatter:  # labels that were given with the ticks
                axis.set_major_formatter(LiteralFormatter(formatter.func))
            elif not isinstance(formatter, LiteralFormatter):
                numbers |= {id(label) for label in axis.get_majorticklabels()}
            numbers |= {id(label) for label in axis.get_minorticklabels()}

    for text in fig.findobj(Text):
        if isinstance(text, Text) and id(text) not in numbers:
            text.set_parse_math(False)
            text.set_text(_printable_lines(text.get_text()))


class LiteralFormatter(FuncFormatter):
    """The labels of ticks, without what no font can show."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a tick."""
        return _printable_lines(super().__call__(x, pos))


def _printable_lines(text: str) -> str:
    return "\n".join(printable_text(line) for line in text.split("\n"))


def _empty_figure(width: float, height: float) -> PngFigure:
    """Return a figure with a canvas, never through pyplot, so that any thread may draw it."""
    fig = PngFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(fig)
    return fig


def _apply_style(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color=GRID_COLOUR, linewidth=GRID_WIDTH)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=FONT_SIZE)

    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(FONT_SIZE)
        axis.get_offset_text().set_fontsize(FONT_SIZE)

    return ax


def set_title(ax: Axes, title: str) -> None:
    """Set the title of a panel: bold, above its left edge, in lines as wide as the panel."""
    room = ax.get_window_extent().width / ax.figure.dpi
    ax.set_title(
        _broken_to_width(title, room, "bold"), loc="left", fontsize=FONT_SIZE, fontweight="bold"
    )


def set_y_title(ax: Axes, title: str) -> None:
    """Set the title of the vertical axis, in lines as long as the panel is high."""
    room = Y_TITLE_SHARE * ax.get_window_extent().height / ax.figure.dpi
    ax.set_ylabel(_broken_to_width(title, room, "normal"))


def _broken_to_width(text: str, room: float, weight: Weight) -> str:
    """Return text of the usual size in lines of at most ``room`` inches."""
    if not text:
        return text
    font = FontProperties(size=FONT_SIZE, weight=weight)
    longest = max(printable_text(line).replace("$", "S") for line in text.splitlines())
    width = TextPath((0, 0), longest, prop=font).get_extents().width
    return _broken(text, room, width / POINTS_PER_INCH / max(1, len(longest)))


def add_legend(ax: Axes, place: Place = "best", columns: int = 1) -> None:
    """Add a legend inside a panel."""
    ax.legend(loc=place, ncols=columns, fontsize=LEGEND_SIZE, frameon=False)


def add_legend_below(fig: Figure, handles: Sequence[Artist], columns: int | None = None) -> None:
    """Add a legend below all panels, with one entry per handle that has a label.

    Without ``columns`` there are as many as the longest label allows. Longer labels than the figure
    is wide are broken.
    """
    room = fig.get_figwidth()
    labels = [
        _broken(str(handle.get_label()), room - LEGEND_SAMPLE, CHARACTER_WIDTH)
        for handle in handles
    ]
    lines = [line for label in labels for line in label.splitlines()]
    widest = LEGEND_SAMPLE + CHARACTER_WIDTH * max(map(len, lines), default=0)
    most = max(1, min(len(labels), int(room / widest)))
    fig.legend(
        handles=handles,
        labels=labels,
        loc="outside lower center",
        ncols=min(columns or most, most),
        fontsize=LEGEND_SIZE,
        frameon=False,
    )


def _broken(label: str, room: float, character: float) -> str:
    """Return a label in lines that fit into ``room``; ``character``: its width; both in inches.

    Lines that it has already stay.
    """
    characters = max(8, int(room / max(character, 1e-9)))
    wrapped = [textwrap.fill(line, characters) for line in label.splitlines()]
    return "\n".join(wrapped) or label


def line_style(number: int, width: float = LINE_WIDTH) -> LineStyle:
    """Return the style of line ``number`` of a plot; no two of the first 49 are the same."""
    again = number // len(COLOURS)  # colours that come again have other dashes
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number + again) % len(DASHES)],
        "linewidth": width,
    }


def write_numbers_out(axis: Axis) -> None:
    """Let a logarithmic axis say 1,000, and not ten to the third."""
    axis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:,.0f}"))


def mark_at_edge(ax: Axes, x: np.ndarray, edge: float, number: int, above: bool) -> None:
    """Draw a mark at the edge of a panel for what goes on outside; ``number``: of its line."""
    if not len(x):
        return
    color = line_style(number)["color"]
    marker = MARK_ABOVE if above else MARK_BELOW
    (drawn,) = ax.plot(x, np.full(len(x), edge), marker, color=color, markersize=6, clip_on=False)
    drawn.set_in_layout(False)


def png(fig: Figure, dpi: int = NOTEBOOK_DPI) -> bytes:
    """Return the figure as PNG, the same bytes for the same figure."""
    out = io.BytesIO()
    fig.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def data_uri(fig: Figure) -> str:
    """Return the figure as a ``data:`` address, for a page that needs no network."""
    return "data:image/png;base64," + base64.b64encode(png(fig, REPORT_DPI)).decode()
