"""The picture of a running experiment: six panels of one size, drawn from what has been read of it so far."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from workbench.views.curves import AXES, MEASURES, Against, curve
from workbench.views.staleness import ages
from workbench.views.style import COLOURS, line
from workbench.views.tail import Tail
from workbench.views.timeline import SHOWN, stretches

INCHES, DPI = (10.5, 5.2), 84  # 882 x 436 pixels, always: a picture that changes its size makes the page jump
RECENT = 400  # rows of the newest pushes and decodes from which the last stretch of time is drawn


def draw_live(tail: Tail, against: Against = "epochs", alarm: str = "") -> Figure:
    """F_MMI, word errors by kind, frame error; staleness, queues, and who was busy lately."""
    fig = Figure(figsize=INCHES, dpi=DPI)
    FigureCanvasAgg(fig)
    axes = fig.subplots(2, 3)
    fig.subplots_adjust(
        left=0.065, right=0.985, top=0.88, bottom=0.1, wspace=0.28, hspace=0.5
    )  # cheaper than a layout engine
    _measures(axes[0], tail, against)
    _staleness(axes[1][0], tail)
    _queues(axes[1][1], tail)
    _busy(axes[1][2], tail)
    pushes, decodes, lost = tail.total["push"], tail.total["decode"], tail.total["recovery"]
    words = f"{tail.run.name}: {pushes} pushes, {decodes} decodes"
    words += f", {lost} {'recovery' if lost == 1 else 'recoveries'} after a loss (dotted)" if lost else ""
    fig.text(0.01, 0.97, words, fontsize=9, va="top")
    if alarm:
        fig.text(0.99, 0.97, alarm, fontsize=9, va="top", ha="right", color="white", backgroundcolor=COLOURS[1])
    return fig


def _measures(axes: np.ndarray, tail: Tail, against: Against) -> None:
    table = tail.table("evaluate")
    for ax, measure in zip(axes, ("mmi", "wer", "frame_error"), strict=True):
        found = curve(table, measure, against) if len(table) else None
        if found is not None:
            ax.plot(found.x, found.y, marker=".", **line(0))
        for recovery in tail.rows["recovery"]:
            ax.axvline(recovery[against], color=COLOURS[1], linestyle=":", linewidth=1)
        ax.set_title(MEASURES[measure][0])
        ax.set_xlabel(AXES[against])
    if len(table) and {"wer_low", "wer_high"} <= set(table):
        low, high = (100 * table[c].to_numpy(float) for c in ("wer_low", "wer_high"))
        axes[1].fill_between(table[against], low, high, color=COLOURS[0], alpha=0.15, linewidth=0)
    if len(table) and "sub" in table:
        for number, (column, label) in enumerate((("sub", "sub"), ("del", "del"), ("ins", "ins")), 1):
            axes[1].plot(table[against], 100 * table[column].astype(float), label=label, linewidth=1, **line(number))
        axes[1].legend(ncols=3, loc="upper right")
        axes[1].set_ylim(bottom=0)


def _staleness(ax: Axes, tail: Tail) -> None:
    for number, a in enumerate(ages(tail.table("push"), columns=("staleness_inner", "staleness_outer"))):
        counts = 100 * a.histogram.counts / max(1, a.histogram.counts.sum())
        label = f"{a.column.removeprefix('staleness_')}, mean {a.summary.mean:.3g}"
        ax.stairs(counts, a.histogram.edges, label=label, **line(number))
    ax.set_title("staleness of gradients (% of pushes)")
    ax.set_xlabel("updates")
    if ax.has_data():
        ax.legend(loc="upper right")


def _queues(ax: Axes, tail: Tail) -> None:
    table = tail.table("decode").tail(RECENT)
    if len(table):
        waiting = table.groupby("process")["queue"]
        mean, most = waiting.mean(), waiting.max()
        ax.bar(range(len(mean)), mean, color=COLOURS[2], label="mean")
        ax.plot(range(len(most)), most, "_", color="black", markersize=9, label="most")
        ax.legend(loc="upper right")
        ax.set_xlabel(f"decoder (last {len(table)} utterances)")
    else:
        _nothing(ax, "no decoders")
    ax.set_title("utterances waiting for a replica")


def _busy(ax: Axes, tail: Tail) -> None:
    table = tail.table("push", "decode").tail(RECENT)
    found = stretches(table)
    if len(table) and (last := table.seconds.max()) > 0:
        first = table.groupby("process")["seconds"].min().max()  # from when on every process has been heard of
        spent: dict[str, dict[str, float]] = {}
        for s in found:
            own = spent.setdefault(s.process, dict.fromkeys(SHOWN, 0.0))
            own[s.what] += max(0.0, s.end - max(s.start, first))
        names = sorted(spent)[:12]
        left = np.zeros(len(names))
        for what, colour in SHOWN.items():
            width = np.array([100 * spent[n][what] / max(1e-9, sum(spent[n].values())) for n in names])
            ax.barh(range(len(names)), width, left=left, color=colour)
            left += width
        ax.set_yticks(range(len(names)), names, fontsize=6)
        ax.set_xlabel(f"% of {first:.0f}–{last:.0f} s (grey, yellow: waiting)")
    else:
        _nothing(ax, "time stands still on this clock")
    ax.set_title("busy and waiting")
    ax.grid(False)


def _nothing(ax: Axes, why: str) -> None:
    """No axis where there is nothing to measure."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, why, transform=ax.transAxes, ha="center", color="#777777")
