"""The picture of a running experiment: six panels of one size, drawn from what has been read of it so far."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.figures.curves import AXES, MEASURES, Against, curve
from workbench.figures.staleness import ages
from workbench.figures.style import COLOURS, line
from workbench.figures.tail import Tail
from workbench.figures.timeline import SHOWN, stretches

INCHES, DPI = (
    (10.5, 5.2),
    84,
)  # 882 x 436 pixels, always: a picture that changes its size makes the page jump
LABELLED = 12  # rows that have room for a name each
RECENT = 400  # rows of the newest pushes and decodes from which the last stretch of time is drawn


def draw_live(tail: Tail, against: Against = "epochs", alarm: str = "") -> Figure:
    """F_MMI, word errors by kind, frame error; staleness, queues, and who was busy lately."""
    fig = Figure(figsize=INCHES, dpi=DPI)
    FigureCanvasAgg(fig)
    axes = fig.subplots(2, 3)
    fig.subplots_adjust(
        left=0.08, right=0.985, top=0.88, bottom=0.1, wspace=0.28, hspace=0.5
    )  # cheaper than a layout engine
    _measures(axes[0], tail, against)
    _staleness(axes[1][0], tail)
    _queues(axes[1][1], tail)
    _busy(axes[1][2], tail)
    pushes, decodes, lost = tail.total["push"], tail.total["decode"], tail.total["recovery"]
    words = f"{tail.run.name}: {pushes} pushes, {decodes} decodes"
    words += (
        f", {lost} {'recovery' if lost == 1 else 'recoveries'} after a loss (dotted)"
        if lost
        else ""
    )
    fig.text(0.01, 0.97, words, fontsize=9, va="top")
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


def _measures(axes: np.ndarray, tail: Tail, against: Against) -> None:
    table = tail.table("evaluate")
    for ax, measure in zip(axes, ("mmi", "wer", "frame_error"), strict=True):
        found = curve(table, measure, against) if len(table) else None
        if found is not None:
            ax.plot(found.x, found.y, marker=".", **line(0))
        for recovery in tail.rows["recovery"]:
            ax.axvline(recovery[against], color=COLOURS[1], linestyle=":", linewidth=1)
        ax.yaxis.set_major_locator(MaxNLocator(5))
        ax.ticklabel_format(axis="y", useOffset=False)  # else it stands in the title
        ax.set_title(MEASURES[measure][0])
        ax.set_xlabel(AXES[against])
    if len(table) and {"wer_low", "wer_high"} <= set(table):
        low, high = (100 * table[c].to_numpy(float) for c in ("wer_low", "wer_high"))
        axes[1].fill_between(table[against], low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
    if len(table) and "sub" in table:
        for number, (column, label) in enumerate(
            (("sub", "sub"), ("del", "del"), ("ins", "ins")), 1
        ):
            axes[1].plot(
                table[against],
                100 * table[column].astype(float),
                label=label,
                linewidth=1,
                **line(number),
            )
        axes[1].legend(ncols=3, loc="upper right")
        axes[1].set_ylim(0, 1.25 * axes[1].get_ylim()[1])  # room for the legend


def _staleness(ax: Axes, tail: Tail) -> None:
    for number, a in enumerate(
        ages(tail.table("push"), columns=("staleness_inner", "staleness_outer"))
    ):
        counts = 100 * a.histogram.counts / max(1, a.histogram.counts.sum())
        mean = format(a.summary.mean, ".0f" if a.summary.mean >= 100 else ".3g")
        label = f"{a.column.removeprefix('staleness_')}, mean {mean}"
        ax.stairs(counts, a.histogram.edges, label=label, **line(number))
    ax.set_title("staleness of gradients (% of pushes)")
    ax.set_xlabel("updates")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if ax.has_data():
        ax.set_xlim(right=max(2, ax.get_xlim()[1]))
        ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
        ax.legend(loc="upper right")


def _queues(ax: Axes, tail: Tail) -> None:
    table = tail.table("decode").tail(RECENT)
    if len(table):
        waiting = table.groupby("process")["queue"]
        mean, most = waiting.mean(), waiting.max()
        ax.bar(range(len(mean)), mean, color=COLOURS[2], label="mean")
        ax.plot(range(len(most)), most, "_", color="black", markersize=9, label="most")
        ax.legend(loc="upper right", ncols=2)
        ax.set_xlim(-0.7, max(len(mean), 6) - 0.3)
        ax.set_ylim(0, 1.3 * max(1, most.max()))
        ax.set_xticks(range(0, len(mean), max(1, len(mean) // 6)))
        ax.set_xlabel(f"decoder (last {len(table)} utterances)")
    else:
        _nothing(ax, "no decoders")
    ax.set_title("utterances waiting for a replica")


def _busy(ax: Axes, tail: Tail) -> None:
    table = tail.table("push", "decode")
    table = table.tail(max(RECENT, RECENT // 40 * table.process.nunique())) if len(table) else table
    shares = busy_shares(table)
    if shares:
        left = np.zeros(len(shares))
        for what, colour in SHOWN.items():
            width = np.array([share[what] for share in shares.values()])
            ax.barh(
                range(len(shares)),
                width,
                left=left,
                height=0.8 if len(shares) <= LABELLED else 1.0,
                color=colour,
            )
            left += width
        _name_rows(ax, list(shares))
        ax.set_xlim(0, 100)
        ax.set_xlabel(
            f"% of time since {table.seconds.min():.0f} s; grey, yellow: waiting", fontsize=8
        )
        ax.grid(False)
    else:
        _nothing(ax, "time stands still on this clock")
    ax.set_title("busy and waiting")


def busy_shares(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of each process that is known from two rows on: percent of the time between them, by what it did."""
    spent: dict[str, dict[str, float]] = {}
    known = table.groupby("process").seconds.min() if len(table) else {}
    for s in stretches(table):
        if s.start >= known[s.process]:
            own = spent.setdefault(s.process, dict.fromkeys(SHOWN, 0.0))
            own[s.what] += s.end - s.start
    order = sorted(
        spent,
        key=lambda name: (name.rpartition(" ")[0], int(name.rpartition(" ")[2])),
        reverse=True,
    )
    return {
        name: {what: 100 * t / total for what, t in spent[name].items()}
        for name in order
        if (total := sum(spent[name].values())) > 0
    }


def _name_rows(ax: Axes, names: list[str]) -> None:
    """Each row by its name or, if they are many, each kind by the number of its rows."""
    if len(names) <= LABELLED:
        ax.set_yticks(range(len(names)), names, fontsize=7)
        return
    kinds = [name.rpartition(" ")[0] for name in names]
    places = {kind: [row for row, k in enumerate(kinds) if k == kind] for kind in kinds}
    ax.set_yticks(
        [np.mean(rows) for rows in places.values()],
        [f"{len(rows)} {kind}{'s' * (len(rows) > 1)}" for kind, rows in places.items()],
        rotation=90,
        va="center",
        fontsize=8,
    )


def _nothing(ax: Axes, why: str) -> None:
    """No axis where there is nothing to measure."""
    ax.set_axis_off()
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", color="#777777")
