"""Nothing that a figure says is cut off at its edges, or runs into what stands beside it."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import fake_run, leave_example
from fake_sweeps import sweep_table
from matplotlib.figure import Figure
from matplotlib.text import Text

from workbench.figures.curves import draw_bands, draw_curves, draw_shares, draw_word_errors
from workbench.figures.example import draw_lattice, draw_occupancies, draw_spectrogram
from workbench.figures.live_figure import draw_live
from workbench.figures.staleness import draw_staleness
from workbench.figures.style import figure_with_panel
from workbench.figures.sweep_columns import ColumnChoice, draw_columns
from workbench.figures.sweep_matrix import NAMES
from workbench.figures.sweep_plots import draw_effects, draw_scatter
from workbench.figures.sweep_squares import draw_matrix
from workbench.figures.tail import Tail
from workbench.figures.timeline import draw_queues, draw_timeline, draw_usage
from workbench.settings import Settings
from workbench.storage.example import read_example
from workbench.storage.run import Run
from workbench.studies.figures import draw_study, kinds_of
from workbench.studies.rows import kept_sizes, read_results_of
from workbench.studies.study import find_study, study_names

TOLERANCE = 1.0  # pixels


@pytest.fixture
def runs(data_folder: Path) -> list[Run]:
    """Two runs with names as long as those of recipes."""
    settings = Settings.of(criterion="mmi", replicas=3, clock="cost")
    names = [f"e4a-no-denominator-watch-notebook-is-tiny-{i}a0b1c2d3" for i in range(2)]
    found = [fake_run(name, settings.replace(seed=i)) for i, name in enumerate(names)]
    leave_example(found[0], "alpha")
    return found


def shown_texts(fig: Figure) -> list[Text]:
    """Returns the texts of a figure that show something."""
    return [
        text
        for text in fig.findobj(Text)
        if isinstance(text, Text) and text.get_visible() and text.get_text().strip()
    ]


def texts_outside(fig: Figure) -> list[str]:
    """Returns the labels and titles of a figure that it does not hold wholly."""
    fig.canvas.draw()
    inside = fig.bbox.padded(TOLERANCE)
    ticks = {id(label) for ax in fig.axes for label in ax.get_xticklabels() + ax.get_yticklabels()}
    found = []
    for text in shown_texts(fig):
        box = text.get_window_extent()
        held = inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1)
        if id(text) not in ticks and not held:
            found.append(text.get_text())
    return found


def titles_that_touch(fig: Figure) -> list[tuple[str, str]]:
    """Returns the pairs of titles and labels of panels of which one covers the other."""
    said: list[Text] = []
    for ax in fig.axes:
        titles = [part for part in ax.get_children() if isinstance(part, Text)]
        said += [title for title in titles if title not in ax.texts]
        said += [ax.xaxis.label, ax.yaxis.label]
    said = [text for text in said if text.get_text().strip()]
    return [
        (a.get_text(), b.get_text())
        for a, b in itertools.combinations(said, 2)
        if a.get_window_extent().padded(-TOLERANCE).overlaps(b.get_window_extent())
    ]


def assert_all_is_read(figures: Sequence[Figure]) -> None:
    """Each figure holds all it says, and its panels do not cover each other's words."""
    for fig in figures:
        assert texts_outside(fig) == []
        assert titles_that_touch(fig) == []


@pytest.mark.slow
def test_figures_of_runs_hold_what_they_say(runs: list[Run]) -> None:
    """Long names of runs are broken, not cut off."""
    example = read_example(runs[0])
    assert example is not None
    tail = Tail(runs[0])
    tail.read()
    assert_all_is_read(
        [
            draw_curves(runs),
            draw_curves(runs[:1], ["wer"]),
            draw_bands({"a": runs[:1], "b": runs[1:]}, against="seconds"),
            draw_word_errors(runs),
            draw_shares(runs[0]),
            draw_staleness(runs),
            draw_timeline(runs[0], 0, 20),
            draw_queues(runs[0]),
            draw_usage(runs[0]),
            draw_scatter({"a": runs[:1], "b": runs[1:]}),
            draw_live(tail),
            draw_spectrogram(example),
            draw_occupancies(example),
            draw_lattice(example),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("measure", NAMES)
def test_figures_of_sweeps_hold_what_they_say(measure: str) -> None:
    """The name of each measure stands in full beside small panels too."""
    table = sweep_table()
    table[measure] = table.heldout_wer
    wide = pd.concat([table.assign(batch=n) for n in range(25)], ignore_index=True)
    assert_all_is_read(
        [
            draw_effects(table, ["shuffling"], measure),
            draw_effects(table, ["shuffling", "batch"], measure),
            draw_matrix(table, ["shuffling", "batch"], measure),
            draw_matrix(wide, ["shuffling", "batch"], measure),
            draw_columns(table, ColumnChoice("batch", measure, "shuffling", "")),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", study_names())
def test_figures_of_studies_hold_what_they_say(name: str) -> None:
    """Those of all kept sizes, which the pages and notebooks show."""
    study = find_study(name)
    for size in kept_sizes(name):
        results = read_results_of(name, size)
        assert_all_is_read([draw_study(study, results, kind) for kind in kinds_of(study, results)])


def test_what_is_cut_off_is_found() -> None:
    """The measure of this file sees a label that is longer than its figure is high."""
    fig, ax = figure_with_panel(3.0, 2.0)
    fig.text(0.99, 0.5, "far too long")
    assert texts_outside(fig) == ["far too long"]
    assert ax.get_ylabel() == ""
