"""The noise of gradients over one update and over many, a line for each way to mix frames."""

from collections.abc import Sequence

from workbench.figures.style import (
    PngFigure,
    add_legend_below,
    figure_with_panel,
    line_style,
    set_y_title,
    write_numbers_out,
)
from workbench.metrics.noise import NoiseCurve

WIDTH = 6.0  # inches
HEIGHT = 3.4  # inches


def draw_noise(curves: Sequence[NoiseCurve]) -> PngFigure:
    """Draw the variance of the mean gradient against the updates over which the mean is taken.

    At 1 frames are as good as independent ones. The legend names the ways without a line.
    """
    fig, ax = figure_with_panel(WIDTH, HEIGHT)
    for number, curve in enumerate(curves):
        told = "" if curve.windows else ": too little speech"
        ax.plot(
            curve.windows, curve.ratios, label=f"{curve.mixing.label}{told}", **line_style(number)
        )

    longest = max((curve.windows[-1] for curve in curves if curve.windows), default=1)
    ax.set_xlim(1, max(longest, 2))
    ax.set_xscale("log")
    write_numbers_out(ax.xaxis)
    ax.set_ylim(bottom=0.0)
    ax.set_xlabel("successive updates")
    set_y_title(ax, "variance, independent frames = 1")
    add_legend_below(fig, ax.get_legend_handles_labels()[0])
    return fig
