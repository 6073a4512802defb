"""A sweep as pictures: effects of factors beside the paper's, frame errors against word errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workbench.data import PAPER
from workbench.figures.style import COLOURS, figure, line
from workbench.figures.sweep_matrix import NAMES, scale
from workbench.storage.run import read_json
from workbench.sweeping.results import effects


def paper_values(entry: str, axis: str) -> dict[str, float]:
    """What the paper found for values of ``axis`` under ``entry`` of its data file: word error rates in percent."""
    found: Any = read_json(PAPER).get(entry, {}) if entry else {}
    if entry == "shuffling" and axis == "shuffling":
        return {k: float(v) for k, v in found.items() if k != "where"}
    if entry == "layers" and axis == "trained":
        return {k: float(v) for k, v in found["test_wer"].items()}
    return (
        {k: float(v) for k, v in read_json(PAPER)["table1"]["icelandic"].items()}
        if axis == "criterion"
        else {}
    )


def draw_effects(
    table: pd.DataFrame, axes: Sequence[str], measure: str = "test_wer", paper: str = ""
) -> Figure:
    """Mean and interval of the measure at each value of each axis; hollow marks are the paper's, of its own data."""
    found = effects(table, axes, measure)
    fig, panels = figure(3.2 * max(1, len(axes)), 2.8, ncols=max(1, len(axes)), squeeze=False)
    for ax, axis in zip(panels[0], axes, strict=False):
        own, ended = found[found.axis == axis], table[table.state == "done"]
        at = np.arange(len(own))
        each = [
            scale(measure) * ended[measure][ended[axis] == v].to_numpy(float) for v in own.value
        ]
        for x, values in zip(at, each, strict=True):
            ax.plot(
                np.full(len(values), x + 0.12),
                values,
                ".",
                color=COLOURS[0],
                alpha=0.5,
                markersize=5,
            )
        mean, low, high = (scale(measure) * own[c].to_numpy(float) for c in ("mean", "low", "high"))
        theirs = paper_values(paper, axis) if measure == "test_wer" else {}
        marks = [(i, theirs[str(v)]) for i, v in enumerate(own.value) if str(v) in theirs]
        if marks:
            x, y = zip(*marks, strict=True)
            ax.plot(
                x, y, "s", color=COLOURS[1], markerfacecolor="none", label="paper, its own data"
            )
        ax.plot(at, mean, "o", color=COLOURS[0], label="here: mean; small: single runs")
        ax.margins(x=0.3, y=0.2)
        limits = (
            ax.get_ylim()
        )  # of what was measured: the interval of two seeds may be wider than the picture
        spread = np.nan_to_num(np.array([mean - low, high - mean]))
        ax.errorbar(at, mean, spread, fmt="none", color=COLOURS[0], capsize=3)
        ax.set_ylim(limits)
        ax.set_xticks(at, [str(v) for v in own.value])
        ax.set_xlabel(axis)
    panels[0][0].set_ylabel(NAMES[measure])
    handles, labels = panels[0][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=1)
    return fig


def draw_scatter(groups: Mapping[str, Sequence[Any]]) -> Figure:
    """Frame error against word error along the training of each run (experiment E4), start marked hollow."""
    fig, ax = figure(5.0, 3.6)
    for number, (label, path) in enumerate(paths(groups).items()):
        style = line(number)
        for n, (frame, word) in enumerate(path):
            ax.plot(frame, word, marker=".", label=label if n == 0 else None, **style)
            ax.plot(
                frame[:1], word[:1], "o", color=style["color"], markerfacecolor="none", markersize=9
            )
            ax.plot(frame[-1:], word[-1:], "o", color=style["color"], markersize=7)
    ax.set_xlabel(NAMES["frame_error"])
    ax.set_ylabel(NAMES["heldout_wer"])
    if ax.has_data():
        ax.legend()
    return fig


def paths(groups: Mapping[str, Sequence[Any]]) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """(frame errors, word errors) in percent of the measurements of each run, by label."""
    out: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for label, runs in groups.items():
        tables = [run.rows("evaluate") for run in runs]
        out[label] = [
            (100 * t["frame_error"].to_numpy(float), 100 * t["wer"].to_numpy(float))
            for t in tables
            if "frame_error" in t
        ]
    return out
