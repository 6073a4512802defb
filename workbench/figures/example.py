"""Figures of one utterance: spectrogram with its alignment, occupancies, and lattice.

They draw what `recognise.example.write_example` left in a run, without the model or the corpus.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from workbench.figures.style import (
    COLOURS,
    PngFigure,
    figure_with_panel,
    figure_with_rows,
    set_title,
    set_y_title,
)
from workbench.settings.frame import FRAME_SECONDS
from workbench.storage.example import (
    AlignedUnit,
    Example,
    LatticeWord,
)

MEL_BINS = 40
WIDTH = 8.5  # inches
FATE_COLOURS = np.array([[0.85, 0.85, 0.85], [0.0, 0.45, 0.7], [0.84, 0.37, 0.0]])
MOST_WORDS = 60  # that the picture of a lattice shows
LABELLED_SECONDS = 0.08  # a shorter word of a lattice has no room for its label


def draw_spectrogram(example: Example) -> PngFigure:
    """Draw the log-mel energies with phones and words of the alignment."""
    fig, (ax, bar) = figure_with_rows(WIDTH, 3.6, row_heights=(5, 1.4))
    fig.keeps_colours = True
    ax.imshow(
        example.features.T,
        origin="lower",
        aspect="auto",
        extent=(0, example.frames * FRAME_SECONDS, 0, MEL_BINS),
        cmap="magma",
        interpolation="nearest",
    )
    set_y_title(ax, "mel bin")
    set_title(ax, f"{example.utterance}: {example.reference}")
    ax.grid(False)

    _draw_pieces(bar, example.phones, bottom=0.5, font_size=6)
    _draw_pieces(bar, example.words, bottom=0.0, font_size=8)
    bar.set_ylim(0, 1)
    bar.set_yticks([0.25, 0.75], ["words", "phones"])
    bar.set_xlabel("time (s)")
    bar.grid(False)

    return fig


def _draw_pieces(ax: Axes, pieces: Sequence[AlignedUnit], bottom: float, font_size: float) -> None:
    """Draw names from ``bottom`` up to half of the panel, between lines at their starts."""
    for piece in pieces:
        start = piece.first * FRAME_SECONDS
        end = piece.end * FRAME_SECONDS
        ax.axvline(start, ymin=bottom, ymax=bottom + 0.5, color="#888888", linewidth=0.5)
        ax.text(
            (start + end) / 2,
            bottom + 0.25,
            piece.name,
            ha="center",
            va="center",
            fontsize=font_size,
            clip_on=True,
        )


def draw_occupancies(example: Example) -> PngFigure:
    """Draw numerator, denominator and their difference, one row per state.

    Each frame's fate is below.
    """
    fig, axes = figure_with_rows(WIDTH, 4.6, row_heights=(3, 3, 3, 0.5))
    fig.keeps_colours = True
    difference = example.numerator - example.denominator
    most = max(0.01, float(np.abs(difference).max()))
    _draw_image(axes[0], "numerator γ", example.numerator, "Greys", (0, 1))
    _draw_image(axes[1], "denominator γ", example.denominator, "Greys", (0, 1))
    title = f"difference\n(± {most:.2f})"
    _draw_image(axes[2], title, difference, "RdBu_r", (-most, most))

    fates = axes[3]
    fates.imshow(
        FATE_COLOURS[example.fate][None],
        aspect="auto",
        extent=(0, example.frames * FRAME_SECONDS, 0, 1),
        interpolation="nearest",
    )
    fates.set_yticks([])
    fates.grid(False)
    fates.set_xlabel("time (s); below: grey cancelled, blue trained on, orange rejected")

    return fig


def _draw_image(
    ax: Axes, title: str, values: np.ndarray, colour_map: str, limits: tuple[float, float]
) -> None:
    """Draw ``values`` [frames, states] with time to the right."""
    frames, states = values.shape
    ax.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        extent=(0, frames * FRAME_SECONDS, 0, states),
        cmap=colour_map,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
    )
    set_y_title(ax, title)
    ax.set_yticks([])
    ax.grid(False)


def draw_lattice(example: Example, most: int = MOST_WORDS) -> PngFigure:
    """Draw the ``most`` likeliest words of the lattice by time, rivals above each other.

    The likelier a word, the darker and lower it is; words of the reference are blue.
    """
    fig, ax = figure_with_panel(WIDTH, 2.6)
    words = sorted(example.lattice_words, key=_posterior, reverse=True)[:most]
    heights = _rows_without_overlap(words)
    reference = set(example.reference.split())

    segments = []
    colours = []
    for word, row in zip(words, heights, strict=True):
        start = word.first * FRAME_SECONDS
        end = word.end * FRAME_SECONDS
        colour = COLOURS[0] if word.word in reference else COLOURS[1]
        segments.append([(start, row), (end, row)])
        colours.append((*to_rgb(colour), 0.15 + 0.85 * word.posterior))
        if end - start > LABELLED_SECONDS:
            ax.text(
                (start + end) / 2,
                row + 0.15,
                f"{word.word} {word.posterior:.2f}",
                ha="center",
                fontsize=7,
                alpha=0.5 + 0.5 * word.posterior,
            )

    ax.add_collection(LineCollection(segments, colors=colours, linewidths=4))
    ax.set_xlim(0, example.frames * FRAME_SECONDS)
    ax.set_ylim(-0.5, max(heights, default=-1) + 1.5)
    ax.set_yticks([])
    set_y_title(ax, "rivals")
    ax.set_xlabel(
        "time (s) at which paths reach the word; blue: word of the reference; number: its posterior"
    )
    set_title(ax, "words of the lattice")

    return fig


def _posterior(word: LatticeWord) -> float:
    return word.posterior


def _rows_without_overlap(words: Sequence[LatticeWord]) -> list[int]:
    """Return the lowest row for each word in which no earlier word overlaps it in time."""
    placed: list[list[LatticeWord]] = []
    rows = []
    for word in words:
        row = 0
        while row < len(placed) and any(_overlap(word, other) for other in placed[row]):
            row += 1
        if row == len(placed):
            placed.append([])
        placed[row].append(word)
        rows.append(row)

    return rows


def _overlap(a: LatticeWord, b: LatticeWord) -> bool:
    return a.end > b.first and a.first < b.end
