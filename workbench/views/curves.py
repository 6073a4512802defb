"""Curves of what evaluators measured, against updates, time or audio seen: table -> info -> figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.store import Run
from workbench.views.style import figure, line

Against = Literal["updates", "seconds", "epochs"]
AXES = {"updates": "updates applied", "seconds": "time (s)", "epochs": "audio seen (epochs)"}
MEASURES = {
    "mmi": ("F_MMI per frame", 1.0),
    "wer": ("word error rate, unigram (%)", 100.0),
    "frame_error": ("frame error (%)", 100.0),
    "ce": ("F_CE per frame", 1.0),
}


@dataclass(frozen=True)
class Curve:
    """One run's measure: ``x`` and ``y`` [evaluations], finite where measured."""

    run: str
    x: np.ndarray
    y: np.ndarray


def curves(runs: Sequence[Run], measure: str, against: Against = "epochs") -> list[Curve]:
    """The curve of each run that has the measure; ``against`` seconds means virtual seconds on a virtual clock."""
    out = []
    for run in runs:
        table = run.rows("evaluate")
        if measure in table and against in table and table[measure].notna().any():
            table = table.sort_values(against)
            scale = MEASURES[measure][1]
            out.append(Curve(run.name, table[against].to_numpy(float), scale * pd.to_numeric(table[measure]).to_numpy(float)))
    return out


def draw_curves(runs: Sequence[Run], measures: Sequence[str] = ("mmi", "wer", "frame_error"), against: Against = "epochs") -> Figure:
    """One panel per measure, one line per run."""
    fig, axes = figure(3.4 * len(measures), 2.8, ncols=len(measures), squeeze=False)
    for ax, measure in zip(axes[0], measures, strict=True):
        for number, curve in enumerate(curves(runs, measure, against)):
            ax.plot(curve.x, curve.y, label=curve.run, marker=".", markersize=4, **line(number))
        ax.set_title(MEASURES[measure][0])
        ax.set_xlabel(AXES[against])
    handles, labels = axes[0][0].get_legend_handles_labels()
    if labels:
        fig.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4))
    return fig


def draw_word_errors(runs: Sequence[Run], against: Against = "epochs") -> Figure:
    """Substitutions, deletions and insertions of each run: rising deletions under a falling total are a warning."""
    fig, axes = figure(3.4 * max(1, len(runs)), 2.8, ncols=max(1, len(runs)), squeeze=False, sharey=True)
    for ax, run in zip(axes[0], runs, strict=False):
        table = run.rows("evaluate")
        if "sub" not in table:
            continue
        for number, (column, label) in enumerate((("sub", "substitutions"), ("del", "deletions"), ("ins", "insertions"))):
            ax.plot(table[against], 100 * table[column].astype(float), label=label, **line(number))
        ax.set_title(run.name)
        ax.set_xlabel(AXES[against])
        ax.set_ylabel("share of reference words (%)")
        ax.legend()
    return fig


def draw_shares(run: Run) -> Figure:
    """What became of the frames that decoders saw: trained on, cancelled, rejected, over the utterances decoded."""
    fig, ax = figure(5.0, 2.6)
    table = run.rows("decode")
    if len(table):
        frames = table["frames"].cumsum()
        seen = {c: table[c].rolling(max(1, len(table) // 40), min_periods=1).sum() for c in ("frames", "kept", "cancelled", "rejected")}
        for number, column in enumerate(("kept", "cancelled", "rejected")):
            ax.plot(frames / 1e6, 100 * seen[column] / seen["frames"], label=column, **line(number))
        ax.set_ylim(0, 100)
        ax.legend()
    ax.set_xlabel("frames decoded (million)")
    ax.set_ylabel("share of frames (%)")
    ax.set_title("frames kept, cancelled, rejected")
    return fig
