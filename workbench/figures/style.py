"""One style for every figure: readable in grey and for the colour-blind, the same live, in notebooks and reports."""

import base64
import io

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette, ordered so that neighbours differ in lightness too; line styles tell lines apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
RC = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.6,
    "figure.dpi": 110,
    "hatch.linewidth": 0.4,
    "svg.hashsalt": "workbench",
}

matplotlib.rcParams.update(
    RC
)  # once and for all: a context around each drawing would not survive two threads


def figure(width: float = 7.5, height: float = 3.0, **axes) -> tuple[Figure, object]:
    """A figure and its axes (inches), never through pyplot, so that any thread may draw it; ``axes``: of subplots()."""
    fig = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(fig)
    return fig, fig.subplots(**axes)


def line(number: int) -> dict[str, object]:
    """Colour and dash of the n-th line of a plot."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number % len(LINES)]}


def png(fig: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG."""
    out = io.BytesIO()
    fig.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def data_uri(fig: Figure, dpi: int = 130) -> str:
    """The figure as a data: address, for a page without network."""
    return "data:image/png;base64," + base64.b64encode(png(fig, dpi)).decode()
