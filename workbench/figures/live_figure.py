"""The picture of a running experiment: six panels, drawn from the rows read so far."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from workbench.figures.curves import AXES, MEASURES, Against, Curve, curve_of, point_marker
from workbench.figures.staleness import OUTLINE_WIDTH, age_text, ages
from workbench.figures.style import (
    COLOURS,
    LEGEND_SIZE,
    PANEL_DPI,
    PngFigure,
    add_legend,
    figure_with_grid,
    line_style,
    set_title,
)
from workbench.figures.tail import Tail
from workbench.figures.timeline import ACTIVITIES, number_and_kind, stack_bars, stretches
from workbench.storage.rows import DecodeRow, DivergenceRow, EvaluateRow, PushRow, RecoveryRow
from workbench.storage.run import Run

# Always 882 x 436 pixels: a picture that changes its size makes the page jump.
LIVE_WIDTH = 10.5  # inches
LIVE_HEIGHT = 5.2  # inches
LIVE_DPI = PANEL_DPI

MOST_NAMED_ROWS = 12  # that have room for a name each
RECENT_ROWS = 400  # newest pushes and decodes from which the last stretch of time is drawn
BESIDE_COLOUR = "#666666"
LEAST_ROWS_EACH = 10  # of them per process


def draw_live(
    tail: Tail, against: Against = "epochs", alarm: str = "", beside: Run | None = None
) -> PngFigure:
    """Draw the criterion, word errors by kind and frame error; staleness, queues, recent work.

    ``beside``: another run, whose curves are drawn in the same panels.
    """
    fig, axes = figure_with_grid(LIVE_WIDTH, LIVE_HEIGHT, rows=2, columns=3)
    fig.subplots_adjust(left=0.08, right=0.985, top=0.88, bottom=0.1, wspace=0.28, hspace=0.5)
    _draw_measures(axes[0], tail, against, beside)
    _draw_staleness(axes[1][0], tail)
    _draw_queues(axes[1][1], tail)
    _draw_busy(axes[1][2], tail)

    fig.text(0.01, 0.97, _headline(tail), fontsize=9, va="top")
    if alarm:
        fig.text(
            0.99,
            0.97,
            alarm,
            fontsize=9,
            va="top",
            ha="right",
            color="white",
            backgroundcolor=COLOURS[1],
        )

    return fig


def _headline(tail: Tail) -> str:
    words = f"{tail.run.name}: {tail.total['push']} pushes, {tail.total['decode']} decodes"
    recoveries = tail.total["recovery"]
    if recoveries:
        noun = "recovery" if recoveries == 1 else "recoveries"
        words += f", {recoveries} {noun} after a loss (dotted)"
    divergences = tail.total["divergence"]
    if divergences:
        noun = "divergence" if divergences == 1 else "divergences"
        words += f", learning rate halved after {divergences} {noun} (dashed)"
    return words


def _draw_measures(axes: Sequence[Axes], tail: Tail, against: Against, beside: Run | None) -> None:
    table = tail.table(EvaluateRow)
    other = beside.table(EvaluateRow) if beside else None
    measures = shown_measures(tail.run)
    for ax, measure in zip(axes, measures, strict=True):
        if beside is not None and other is not None:
            _draw_beside(ax, curve_of(other, measure, against), beside.name)
        curve = curve_of(table, measure, against) if len(table) else None
        if curve is not None:
            ax.plot(curve.x, curve.y, marker=point_marker(len(curve.x)), **line_style(0))
        for recovery in tail.recoveries:
            ax.axvline(place_of(recovery, against), color=COLOURS[1], linestyle=":", linewidth=1)
        for divergence in tail.divergences:
            ax.axvline(place_of(divergence, against), color=COLOURS[1], linestyle="--", linewidth=1)
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.ticklabel_format(axis="y", useOffset=False)  # an offset would stand in the title
        set_title(ax, MEASURES[measure].title)
        ax.set_xlabel(AXES[against])

    if len(table):
        _draw_word_errors(axes[1], table, against)


def shown_measures(run: Run) -> tuple[str, str, str]:
    """Return what the panels show first: the criterion that is trained, then the error rates."""
    criterion = "mmi" if run.settings.sequence else "ce"
    return (criterion, "wer", "frame_error")


def _draw_beside(ax: Axes, curve: Curve | None, name: str) -> None:
    """Draw the curve of another run in grey, so that both can be told apart at once."""
    if curve is not None:
        ax.plot(curve.x, curve.y, color=BESIDE_COLOUR, linestyle="--", linewidth=1.2)
        end = (curve.x[-1], curve.y[-1])
        ax.annotate(name, end, fontsize=6, color=BESIDE_COLOUR, ha="right", va="bottom")


def place_of(row: RecoveryRow | DivergenceRow, against: Against) -> float:
    """Return where on an axis of curves something happened."""
    if against == "seconds":
        return row.seconds
    return float(row.updates) if against == "updates" else row.epochs


def _draw_word_errors(ax: Axes, table: pd.DataFrame, against: Against) -> None:
    if {"wer_low", "wer_high"} <= set(table):
        low = 100 * table["wer_low"].to_numpy(float)
        high = 100 * table["wer_high"].to_numpy(float)
        ax.fill_between(table[against], low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
    if "sub" in table:
        for number, kind in enumerate(("sub", "del", "ins"), 1):
            percent = 100 * table[kind].astype(float)
            ax.plot(table[against], percent, label=kind, **line_style(number, width=1.0))
        add_legend(ax, "upper right", columns=3)
        ax.set_ylim(0, 1.25 * ax.get_ylim()[1])  # room for the legend


def _draw_staleness(ax: Axes, tail: Tail) -> None:
    found = ages(tail.table(PushRow), columns=("staleness_inner", "staleness_outer"))
    for number, a in enumerate(found):
        label = f"{a.column.removeprefix('staleness_')}, mean {age_text(a.summary.mean)}"
        style = line_style(number, OUTLINE_WIDTH)
        ax.stairs(a.percent, a.histogram.edges, label=label, **style)

    set_title(ax, "staleness of gradients (% of pushes)")
    ax.set_xlabel("updates")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if ax.has_data():
        ax.set_xlim(right=max(2, ax.get_xlim()[1]))
        ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
        add_legend(ax, "upper right")


def _draw_queues(ax: Axes, tail: Tail) -> None:
    set_title(ax, "utterances waiting for a replica")
    table = tail.table(DecodeRow).tail(RECENT_ROWS)
    if not len(table):
        _draw_reason(ax, "none decoded yet" if tail.run.settings.sequence else "no decoders")
        return

    waiting = table.groupby("process")["queue"]
    mean = waiting.mean()
    most = waiting.max()
    ax.bar(range(len(mean)), mean, color=COLOURS[2], label="mean")
    ax.plot(range(len(most)), most, "_", color="black", markersize=9, label="most")
    add_legend(ax, "upper right", columns=2)
    ax.set_xlim(-0.7, max(len(mean), 6) - 0.3)
    ax.set_ylim(0, 1.3 * max(1, most.max()))
    ax.set_xticks(range(0, len(mean), max(1, len(mean) // 6)))
    ax.set_xlabel(f"decoder (last {len(table)} utterances)")


def _draw_busy(ax: Axes, tail: Tail) -> None:
    set_title(ax, "busy and waiting")
    table = tail.table(PushRow, DecodeRow)
    if len(table):
        processes = table.process.nunique()
        table = table.tail(max(RECENT_ROWS, LEAST_ROWS_EACH * processes))
    shares = busy_shares(table)
    if not shares:
        free = tail.run.settings.clock.kind == "free"
        _draw_reason(ax, "time stands still on this clock" if free else "nothing done yet")
        return

    widths = {what: np.array([own[what] for own in shares.values()]) for what in ACTIVITIES}
    height = 0.8 if len(shares) <= MOST_NAMED_ROWS else 1.0
    stack_bars(ax, widths, ACTIVITIES, height, edge="none")
    _name_rows(ax, list(shares))
    ax.set_xlim(0, 100)
    ax.set_xlabel(
        f"% of time since {table.seconds.min():.0f} s; grey, yellow: waiting", fontsize=LEGEND_SIZE
    )
    ax.grid(False)


def busy_shares(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return how each process divided its time, in percent by activity.

    The time is that between its first row and its last.

    Processes with a single row are left out.
    """
    spent: dict[str, dict[str, float]] = {}
    first_row = table.groupby("process").seconds.min() if len(table) else {}
    for stretch in stretches(table):
        if stretch.start >= first_row[stretch.process]:
            own = spent.setdefault(stretch.process, dict.fromkeys(ACTIVITIES, 0.0))
            own[stretch.what] += stretch.end - stretch.start

    shares = {}
    for process in sorted(spent, key=_kind_and_number, reverse=True):
        total = sum(spent[process].values())
        if total > 0:
            shares[process] = {what: 100 * s / total for what, s in spent[process].items()}

    return shares


def _kind_and_number(process: str) -> tuple[str, int]:
    number, _ = number_and_kind(process)
    return process.rpartition(" ")[0], number


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Label each row by its name or, if there are many, each kind by the number of rows."""
    if len(names) <= MOST_NAMED_ROWS:
        ax.set_yticks(range(len(names)), names, fontsize=7)
        return

    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows_of.setdefault(name.rpartition(" ")[0], []).append(row)

    middles = [float(np.mean(rows)) for rows in rows_of.values()]
    labels = [f"{len(rows)} {kind}{'s' * (len(rows) > 1)}" for kind, rows in rows_of.items()]
    ax.set_yticks(middles, labels, rotation=90, va="center", fontsize=8)


def _draw_reason(ax: Axes, reason: str) -> None:
    """Write why there is nothing to draw, without axes."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, reason, transform=ax.transAxes, ha="center", color="#777777", fontsize=9)
