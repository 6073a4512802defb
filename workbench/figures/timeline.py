"""How processes spent their time, and how many utterances waited in the channels between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workbench.figures.style import (
    COLOURS,
    HATCH_WIDTH,
    PngFigure,
    add_legend,
    add_legend_below,
    figure_with_panel,
    line_style,
    set_title,
    set_y_title,
)
from workbench.storage.rows import DecodeRow, UsageRow
from workbench.storage.run import Run

GREY = "#cccccc"
WAITING_FOR_ROOM = "wait for room"
WAITING_FOR_FRAMES = "wait for frames"
ACTIVITIES = {
    "gradient": COLOURS[0],
    "decode": COLOURS[2],
    WAITING_FOR_ROOM: COLOURS[4],
    WAITING_FOR_FRAMES: GREY,
}
WAITING_HATCH = "////"  # distinguishes waiting from work where the figure is printed in grey

USAGE = {
    "work": COLOURS[0],
    "ask": COLOURS[5],
    "put": COLOURS[4],
    "take": GREY,
    "busy": COLOURS[2],
}

MOST_PROCESSES = 24  # that a timeline shows
ROW_HEIGHT = 0.22  # inches per process


class Cycle(NamedTuple):
    """How rows of one kind describe a process that works and waits by turns.

    ``column``: the seconds for which the process waited before the work that the row reports.
    """

    kind: str
    work: str
    waiting: str
    column: str


CYCLES = (
    Cycle("push", "gradient", WAITING_FOR_FRAMES, "idle_seconds"),
    Cycle("decode", "decode", WAITING_FOR_ROOM, "put_seconds"),
)


@dataclass(frozen=True)
class Stretch:
    """``process`` did ``what`` (a key of ACTIVITIES) from ``start`` to ``end``.

    Times are seconds of the run's clock.
    """

    process: str
    what: str
    start: float
    end: float


@dataclass(frozen=True)
class Queue:
    """Decoded utterances in a decoder's channel: ``seconds``, ``length`` float64 [decodes]."""

    seconds: np.ndarray
    length: np.ndarray


def stretches(rows: pd.DataFrame) -> list[Stretch]:
    """Return how replicas and decoders spent their time, without gaps.

    A push row holds how long its replica waited for frames since the push before; a decode row
    holds how long the decoder waited for room in its channel after the utterance before. The rest
    of the time between two rows is work, fetching and pushing included.
    """
    found: list[Stretch] = []
    if not len(rows):
        return found

    for cycle in CYCLES:
        for process, own in rows[rows.kind == cycle.kind].groupby("process"):
            found += _stretches_of(process, own, cycle)

    return found


def _stretches_of(process: str, rows: pd.DataFrame, cycle: Cycle) -> list[Stretch]:
    ends = rows["seconds"].to_numpy(float)
    starts = np.concatenate([[0.0], ends[:-1]])
    waited = np.nan_to_num(rows[cycle.column].to_numpy(float))
    waited = np.minimum(waited, ends - starts)

    found = []
    for start, wait, end in zip(starts, waited, ends, strict=True):
        work_start = start + wait
        if wait > 0:
            found.append(Stretch(process, cycle.waiting, start, work_start))
        if end > work_start:
            found.append(Stretch(process, cycle.work, work_start, end))

    return found


def draw_timeline(
    run: Run, first: float = 0.0, last: float | None = None, most: int = MOST_PROCESSES
) -> PngFigure:
    """Draw what at most ``most`` processes of a run did between two times (seconds)."""
    return draw_stretches(stretches(run.table()), first, last, most, run.name)


def draw_stretches(
    found: Sequence[Stretch],
    first: float = 0.0,
    last: float | None = None,
    most: int = MOST_PROCESSES,
    title: str = "",
) -> PngFigure:
    """Draw what `stretches` returned, from ``first`` to ``last`` seconds (default: all)."""
    if last is None:
        last = max((s.end for s in found), default=1.0)
    processes = sorted({s.process for s in found}, key=number_and_kind)[:most]
    inside = [s for s in found if s.end > first and s.start < last]

    fig, ax = figure_with_panel(8.5, 1.2 + ROW_HEIGHT * max(len(processes), 2))
    for what, colour in ACTIVITIES.items():
        for row, process in enumerate(processes):
            own = [s for s in inside if s.process == process and s.what == what]
            _draw_bars(ax, row, own, what)
        ax.plot([], [], color=colour, linewidth=6, label=what)

    ax.set_yticks(range(len(processes)), processes)
    ax.set_xlim(first, max(last, first + 1e-9))
    ax.set_ylim(max(len(processes), 1) - 0.5, -0.5)
    ax.set_xlabel("time (s)")
    set_title(ax, title)
    add_legend_below(fig, ax.lines, columns=len(ACTIVITIES))

    return fig


def _draw_bars(ax: Axes, row: int, own: Sequence[Stretch], what: str) -> None:
    waiting = what in (WAITING_FOR_ROOM, WAITING_FOR_FRAMES)
    bars = ax.broken_barh(
        [(s.start, s.end - s.start) for s in own],
        (row - 0.4, 0.8),
        facecolor=ACTIVITIES[what],
        edgecolor="white",
        linewidth=0.3,
        hatch=WAITING_HATCH if waiting else None,
    )
    bars.set_hatch_linewidth(HATCH_WIDTH)


def number_and_kind(process: str) -> tuple[int, str]:
    """Return a key that sorts processes by number, those without a number first."""
    kind, _, number = process.rpartition(" ")
    return (int(number), kind) if number.isdigit() else (-1, process)


QUEUE_COLUMNS = ("seconds", "process", "kind", "queue")
"""Columns of rows of decodes that `queues` reads."""


def queues(rows: pd.DataFrame) -> dict[str, Queue]:
    """Return the queue of each decoder's channel, from rows of decodes."""
    if not len(rows) or "queue" not in rows:
        return {}

    return {
        process: Queue(own["seconds"].to_numpy(float), own["queue"].to_numpy(float))
        for process, own in rows[rows.kind == "decode"].groupby("process")
    }


def draw_queues(run: Run, most: int = 6) -> PngFigure:
    """Draw how many utterances wait between decoders and replicas, for at most ``most`` decoders.

    A queue that is always full means that replicas are slow, one that is always empty that decoders
    are.
    """
    fig, ax = figure_with_panel(7.5, 2.4)
    rows = run.table(DecodeRow, QUEUE_COLUMNS)
    shown = list(queues(rows).items())[:most]
    for number, (process, queue) in enumerate(shown):
        ax.step(queue.seconds, queue.length, where="post", label=process, **line_style(number))

    ax.set_xlabel("time (s)")
    set_y_title(ax, "utterances waiting")
    set_title(ax, run.name)
    if ax.has_data():
        add_legend(ax, columns=3)
    return fig


def usage(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the seconds that each process spent on each activity in USAGE.

    A run that was resumed has several rows of usage per process; they are added up.
    """
    columns = [f"{what}_seconds" for what in USAGE]
    columns = [column for column in columns if len(rows) and column in rows]
    own = rows[rows.kind == "usage"] if columns else pd.DataFrame(columns=["process"])
    table = own.groupby("process")[columns].sum()
    return table.rename(columns=_without_unit)


def link_load(rows: pd.DataFrame) -> float | None:
    """Return the share of the time for which the busiest link of the parameter server was in use.

    None where links were not simulated, or no message with data went through them.
    """
    columns = ["sending_seconds", "receiving_seconds"]
    if not len(rows) or not set(columns) <= set(rows):
        return None
    in_use = rows.groupby("process")[columns].sum().to_numpy(float).max()
    return float(in_use / rows.seconds.max()) if in_use else None


def _without_unit(column: str) -> str:
    return column.removesuffix("_seconds")


def draw_usage(run: Run, most: int = 16) -> PngFigure:
    """Draw how each process divided its time between work, requests and waiting."""
    table = usage(run.table(UsageRow))
    table = table.loc[sorted(table.index, key=number_and_kind)[:most]]
    fig, ax = figure_with_panel(7.5, 1.2 + ROW_HEIGHT * max(len(table), 2))
    widths = {what: np.nan_to_num(table[what].to_numpy(float)) for what in table}
    stack_bars(ax, widths, USAGE)

    ax.set_yticks(range(len(table)), list(table.index))
    ax.invert_yaxis()
    ax.set_xlabel("time (s)")
    if len(table):
        handles, _ = ax.get_legend_handles_labels()
        add_legend_below(fig, handles, columns=len(USAGE))

    return fig


def stack_bars(
    ax: Axes,
    widths: Mapping[str, np.ndarray],
    colours: Mapping[str, str],
    height: float = 0.8,
    edge: str = "white",
) -> None:
    """Draw bars that follow each other in every row; ``widths`` float64 [rows] by activity."""
    rows = max((len(width) for width in widths.values()), default=0)
    left = np.zeros(rows)
    for what, width in widths.items():
        ax.barh(
            range(rows),
            width,
            left=left,
            height=height,
            color=colours[what],
            edgecolor=edge,
            label=what,
        )
        left += width
