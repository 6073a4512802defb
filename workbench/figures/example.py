"""One utterance looked at closely: spectrogram with its alignment, occupancies, and its lattice.

Reads what `examples.write_example` left in a run (``example.npz``, ``example.json``): no model, no corpus.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from workbench.figures.style import COLOURS, figure
from workbench.storage.run import Run, read_json

SECONDS_PER_FRAME = 0.01


@dataclass(frozen=True)
class Example:
    """``features`` [frames, mel]; ``numerator``, ``denominator``: occupancies [frames, columns] of ``states``."""

    utterance: str
    reference: str
    hypotheses: dict[str, str]  # run -> words
    words: list[tuple[str, int, int]]  # (word, first frame, last frame + 1)
    phones: list[tuple[str, int, int]]
    features: np.ndarray
    states: np.ndarray
    numerator: np.ndarray
    denominator: np.ndarray
    fate: np.ndarray  # [frames] 0 cancelled, 1 kept, 2 rejected
    labels: list[
        tuple[str, int, int, float]
    ]  # lattice words: (word, first frame, last frame + 1, posterior)


def read_example(run: Run) -> Example | None:
    """The example that the run holds, or None."""
    arrays = run.folder / "example.npz"
    if not arrays.exists():
        return None
    text = read_json(Path(run.folder / "example.json"))
    with np.load(arrays, allow_pickle=False) as a:
        return Example(
            text["utterance"],
            text["reference"],
            text["hypotheses"],
            [tuple(w) for w in text["words"]],
            [tuple(p) for p in text["phones"]],
            a["features"],
            a["states"],
            a["numerator"],
            a["denominator"],
            a["fate"],
            [tuple(w) for w in text["labels"]],
        )


def draw_spectrogram(example: Example) -> Figure:
    """Log-mel energies with phones and words of the alignment."""
    fig, (ax, bar) = figure(8.5, 3.6, nrows=2, sharex=True, height_ratios=(5, 1.4))
    end = len(example.features) * SECONDS_PER_FRAME
    ax.imshow(
        example.features.T,
        origin="lower",
        aspect="auto",
        extent=(0, end, 0, 40),
        cmap="magma",
        interpolation="nearest",
    )
    ax.set_ylabel("mel bin")
    ax.set_title(f"{example.utterance}: {example.reference}")
    ax.grid(False)
    for row, pieces in enumerate((example.phones, example.words)):
        for name, first, last in pieces:
            start, stop = first * SECONDS_PER_FRAME, last * SECONDS_PER_FRAME
            bar.axvline(
                start,
                ymin=0.5 if row == 0 else 0,
                ymax=1 if row == 0 else 0.5,
                color="#888888",
                linewidth=0.5,
            )
            bar.text(
                (start + stop) / 2,
                0.75 - 0.5 * row,
                name,
                ha="center",
                va="center",
                fontsize=6 if row == 0 else 8,
                clip_on=True,
            )
    bar.set_ylim(0, 1)
    bar.set_yticks([0.25, 0.75], ["words", "phones"])
    bar.set_xlabel("time (s)")
    bar.grid(False)
    return fig


def draw_occupancies(example: Example) -> Figure:
    """Numerator, denominator and their difference, over the states that matter, with each frame's fate below."""
    fig, axes = figure(8.5, 4.6, nrows=4, sharex=True, height_ratios=(3, 3, 3, 0.5))
    end = len(example.fate) * SECONDS_PER_FRAME
    difference = example.numerator - example.denominator
    most = max(0.01, float(np.abs(difference).max()))
    panels = (
        ("numerator γ", example.numerator, "Greys", 0, 1),
        ("denominator γ", example.denominator, "Greys", 0, 1),
        (f"difference\n(± {most:.2f})", difference, "RdBu_r", -most, most),
    )
    for ax, (title, values, cmap, low, high) in zip(axes, panels, strict=False):
        ax.imshow(
            values.T,
            origin="lower",
            aspect="auto",
            extent=(0, end, 0, values.shape[1]),
            cmap=cmap,
            vmin=low,
            vmax=high,
            interpolation="nearest",
        )
        ax.set_ylabel(title)
        ax.set_yticks([])
        ax.grid(False)
    colours = np.array([[0.85, 0.85, 0.85], [0.0, 0.45, 0.7], [0.84, 0.37, 0.0]])[example.fate]
    axes[3].imshow(colours[None], aspect="auto", extent=(0, end, 0, 1), interpolation="nearest")
    axes[3].set_yticks([])
    axes[3].grid(False)
    axes[3].set_xlabel("time (s); below: grey cancelled, blue trained on, orange rejected")
    return fig


def draw_lattice(example: Example, most: int = 60) -> Figure:
    """The words of the lattice by time; height keeps rivals apart, darkness is the posterior."""
    fig, ax = figure(8.5, 2.6)
    labels = sorted(example.labels, key=lambda w: -w[3])[:most]  # the likeliest lie lowest
    rows: list[list[tuple[int, int]]] = []
    segments, colours = [], []
    reference = set(example.reference.split())
    for word, first, last, posterior in labels:
        row = next(
            (i for i, taken in enumerate(rows) if all(last <= a or first >= b for a, b in taken)),
            len(rows),
        )
        if row == len(rows):
            rows.append([])
        rows[row].append((first, last))
        start, stop = first * SECONDS_PER_FRAME, last * SECONDS_PER_FRAME
        segments.append([(start, row), (stop, row)])
        colours.append(
            (*_rgb(COLOURS[0] if word in reference else COLOURS[1]), 0.15 + 0.85 * posterior)
        )
        if stop - start > 0.08:
            ax.text(
                (start + stop) / 2,
                row + 0.15,
                f"{word} {posterior:.2f}",
                ha="center",
                fontsize=7,
                alpha=0.5 + 0.5 * posterior,
            )
    ax.add_collection(LineCollection(segments, colors=colours, linewidths=4))
    ax.set_xlim(0, len(example.features) * SECONDS_PER_FRAME)
    ax.set_ylim(-0.5, len(rows) + 0.5)
    ax.set_yticks([])
    ax.set_ylabel("rivals")
    ax.set_xlabel(
        "time (s) at which paths reach the word; blue: word of the reference; number: its posterior"
    )
    ax.set_title("words of the lattice")
    return fig


def _rgb(colour: str) -> tuple[float, float, float]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))  # type: ignore[return-value]
