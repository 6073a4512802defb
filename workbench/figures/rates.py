"""The curve of a search for a learning rate: criterion against rate, and the same as a table."""

from workbench.figures.style import (
    COLOURS,
    LINE_WIDTH,
    PngFigure,
    add_legend_below,
    figure_with_panel,
    line_style,
    set_title,
    set_y_title,
)
from workbench.storage.rate_search import RateSearch, RateTrial

WIDTH = 5.0  # inches
HEIGHT = 3.0  # inches
GAIN = "gain on the smallest"
ROOM = 1.6  # factor of the axis beyond the smallest and the largest rate


def draw_rates(search: RateSearch) -> PngFigure:
    """Draw what each rate had reached after each round, and the rate that was chosen.

    A cross at the bottom is a rate that was given up.
    """
    fig, ax = figure_with_panel(WIDTH, HEIGHT)
    most = max((len(trial.points) for trial in search.trials), default=0)
    for n in range(most):
        there = [trial for trial in search.trials if len(trial.points) > n]
        frames = there[0].points[n].frames
        rates = [trial.rate for trial in there]
        reached = [trial.points[n].criterion for trial in there]
        ax.plot(rates, reached, marker="o", label=f"{frames:,} frames", **line_style(n))

    ended = [trial.rate for trial in search.trials if trial.ended]
    if ended:
        bottom = ax.get_ylim()[0]
        ax.plot(ended, [bottom] * len(ended), "x", color=COLOURS[-1], label="given up")
    if search.rate is not None:
        ax.axvline(search.rate, color=COLOURS[-1], linewidth=LINE_WIDTH / 2, linestyle=":")

    # Limits first: matplotlib would look for its own on a log axis, which one rate does not have.
    tried = [trial.rate for trial in search.trials]
    if tried:
        ax.set_xlim(min(tried) / ROOM, max(tried) * ROOM)
    ax.set_xscale("log")
    ax.set_xlabel("learning rate")
    set_y_title(ax, f"F_{search.criterion.upper()} per frame, training")
    set_title(ax, _title(search))
    add_legend_below(fig, ax.get_legend_handles_labels()[0])
    return fig


def _title(search: RateSearch) -> str:
    if search.rate is None:
        return "the search is not complete"
    return f"learning_rate={search.rate:g}"


def rate_rows(search: RateSearch) -> list[dict[str, str]]:
    """Return a row for each rate: how far it was tried, and what it reached."""
    rows = []
    for trial in search.trials:
        reached = trial.reached
        remark = "chosen" if trial.rate == search.rate else ""
        rows.append(
            {
                "learning rate": f"{trial.rate:g}",
                "frames": f"{trial.frames:,}",
                f"F_{search.criterion.upper()}": "–" if reached is None else f"{reached:.4f}",
                **_gain_cells(search, trial),
                "remark": f"given up: {trial.ended}" if trial.ended else remark,
            }
        )

    return rows


def _gain_cells(search: RateSearch, trial: RateTrial) -> dict[str, str]:
    """The gain over the trial whose model hardly moves, where trials were compared so."""
    if all(point.gain is None for each in search.trials for point in each.points):
        return {}
    last = trial.points[-1] if trial.points else None
    if last is None or last.gain is None or last.error is None:
        return {GAIN: "–"}
    return {GAIN: f"{last.gain:+.2g} ± {2 * last.error:.2g}"}
