"""Who did what, when: busy and idle stretches of every process, and what waits in the channels between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.figures.style import COLOURS, figure, line
from workbench.storage.run import Run

SHOWN = {
    "gradient": COLOURS[0],
    "decode": COLOURS[2],
    "wait for room": COLOURS[4],
    "wait for frames": "#cccccc",
}
USAGE = {
    "work": COLOURS[0],
    "ask": COLOURS[5],
    "put": COLOURS[4],
    "take": "#cccccc",
    "busy": COLOURS[2],
}


@dataclass(frozen=True)
class Stretch:
    """``process`` did ``what`` (a key of SHOWN) from ``start`` to ``end``, seconds of the run's clock."""

    process: str
    what: str
    start: float
    end: float


def stretches(rows: pd.DataFrame) -> list[Stretch]:
    """What rows of pushes and decodes tell of how time was spent.

    A push row tells how long its replica waited for frames since the push before; a decode row how long the decoder had
    waited for room in its channel after the utterance before. The rest of the time between two rows is work, fetching
    and pushing included.
    """
    out = []
    for kind, busy, idle, column in (
        ("push", "gradient", "wait for frames", "idle_seconds"),
        ("decode", "decode", "wait for room", "put_seconds"),
    ):
        for process, own in rows[rows.kind == kind].groupby("process") if len(rows) else ():
            end = own["seconds"].to_numpy(float)
            start = np.concatenate([[0.0], end[:-1]])
            waited = np.minimum(np.nan_to_num(own[column].to_numpy(float)), end - start)
            for a, w, b in zip(start, waited, end, strict=True):
                out += [Stretch(process, idle, a, a + w)] if w > 0 else []
                out += [Stretch(process, busy, a + w, b)] if b > a + w else []
    return out


def draw_timeline(
    run: Run, first: float = 0.0, last: float | None = None, most: int = 24
) -> Figure:
    """The stretches of at most ``most`` processes between two times."""
    return draw_stretches(stretches(run.rows()), first, last, most, run.name)


def draw_stretches(
    found: Sequence[Stretch],
    first: float = 0.0,
    last: float | None = None,
    most: int = 24,
    title: str = "",
) -> Figure:
    """The same from what ``stretches`` found."""
    last = max((s.end for s in found), default=1.0) if last is None else last
    processes = sorted({s.process for s in found}, key=_by_kind_and_number)[:most]
    fig, ax = figure(8.5, 1.2 + 0.22 * max(len(processes), 2))
    for what, colour in SHOWN.items():
        for row, process in enumerate(processes):
            own = [
                s
                for s in found
                if s.process == process and s.what == what and s.end > first and s.start < last
            ]
            bars = [(s.start, s.end - s.start) for s in own]
            hatch = "////" if what.startswith("wait") else None  # told apart in grey too
            ax.broken_barh(
                bars,
                (row - 0.4, 0.8),
                facecolor=colour,
                edgecolor="white",
                linewidth=0.3,
                hatch=hatch,
            )
        ax.plot([], [], color=colour, linewidth=6, label=what)
    ax.set_yticks(range(len(processes)), processes)
    ax.set_xlim(first, max(last, first + 1e-9))
    ax.set_ylim(max(len(processes), 1) - 0.5, -0.5)
    ax.set_xlabel("time (s)")
    ax.set_title(title)
    fig.legend(loc="outside lower center", ncols=len(SHOWN))
    return fig


def _by_kind_and_number(process: str) -> tuple[int, str]:
    kind, _, number = process.rpartition(" ")
    return (int(number), kind) if number.isdigit() else (-1, process)


def queues(rows: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Of each decoder: times (s), and decoded utterances that waited in its channel then."""
    if not len(rows) or "queue" not in rows:
        return {}
    decodes = rows[rows.kind == "decode"]
    return {
        p: (own["seconds"].to_numpy(float), own["queue"].to_numpy(float))
        for p, own in decodes.groupby("process")
    }


def draw_queues(run: Run, most: int = 6) -> Figure:
    """Utterances waiting between decoders and replicas; always full: replicas are slow, always empty: decoders are."""
    fig, ax = figure(7.5, 2.4)
    for number, (process, (seconds, length)) in enumerate(
        list(queues(run.rows("decode")).items())[:most]
    ):
        ax.step(seconds, length, where="post", label=process, **line(number))
    ax.set_xlabel("time (s)")
    ax.set_ylabel("utterances waiting")
    ax.set_title(run.name)
    if ax.has_data():
        ax.legend(ncols=3)
    return fig


def usage(rows: pd.DataFrame) -> pd.DataFrame:
    """Seconds that each process spent at each thing, [processes, work | ask | put | take | busy], over all segments."""
    columns = [f"{c}_seconds" for c in USAGE if len(rows) and f"{c}_seconds" in rows]
    own = rows[rows.kind == "usage"] if columns else pd.DataFrame(columns=["process"])
    table = own.groupby("process")[columns].sum()
    return table.rename(columns=lambda c: c.removesuffix("_seconds"))


def draw_usage(run: Run, most: int = 16) -> Figure:
    """How each process shared out its time: work, asking the server, waiting for room, waiting for frames."""
    table = usage(run.rows("usage"))
    table = table.loc[sorted(table.index, key=_by_kind_and_number)[:most]]
    fig, ax = figure(7.5, 1.2 + 0.22 * max(len(table), 2))
    left = np.zeros(len(table))
    for what in table:
        width = np.nan_to_num(table[what].to_numpy(float))
        ax.barh(
            range(len(table)), width, left=left, color=USAGE[what], edgecolor="white", label=what
        )
        left += width
    ax.set_yticks(range(len(table)), list(table.index))
    ax.invert_yaxis()
    ax.set_xlabel("time (s)")
    if len(table):
        fig.legend(loc="outside lower center", ncols=len(USAGE))
    return fig
