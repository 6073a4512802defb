"""Any column of a sweep against any other: points, boxes, panels, and what zooms."""

import numpy as np
import pandas as pd
import pytest

from workbench.figures.style import COLOURS
from workbench.figures.sweep_columns import (
    ColumnChoice,
    column_plot,
    draw_columns,
    drawable_columns,
    measured_columns,
    offset_of,
)
from workbench.reports.interactive import column_page
from workbench.settings import UserError


def table() -> pd.DataFrame:
    """Two shufflings with two rates and three seeds; the age of the last run was not measured."""
    rows = [
        {
            "label": f"shuffling={shuffling} learning_rate={rate}",
            "shuffling": shuffling,
            "learning_rate": rate,
            "seed": seed,
            "state": "done",
            "test_wer": 0.1 * (1 + seed),
            "staleness_outer_mean": 100.0 * rate + seed,
            "heldout_mmi": np.nan,
        }
        for shuffling in ("none", "full")
        for rate in (0.5, 0.1)
        for seed in range(3)
    ]
    rows[-1]["staleness_outer_mean"] = np.nan
    rows[0]["state"] = "diverged"
    return pd.DataFrame(rows)


def test_what_was_measured_can_be_drawn() -> None:
    """Axes, the seed and measured numbers go across; only measured numbers go up."""
    across = drawable_columns(table(), ["shuffling", "learning_rate"])
    assert list(across) == [
        "shuffling",
        "learning_rate",
        "seed",
        "test_wer",
        "staleness_outer_mean",
    ]
    assert measured_columns(table()) == {
        "test_wer": "test WER (%)",
        "staleness_outer_mean": "age of outer gradients (updates)",
    }


def test_a_number_against_a_number_is_a_scatter() -> None:
    """Only cells that are done and have both numbers are points, in the unit of the title."""
    plot = column_plot(table(), ColumnChoice("staleness_outer_mean", "test_wer", "shuffling"))
    assert plot.categories == []
    (panel,) = plot.panels
    none, full = panel.groups
    assert (none.label, full.label) == ("shuffling=none", "shuffling=full")
    assert len(none.x) == len(full.x) == 5
    assert none.y.tolist() == pytest.approx([20.0, 30.0, 10.0, 20.0, 30.0])
    assert none.names[0] == "shuffling=none learning_rate=0.5, seed 1"


def test_values_of_an_axis_are_categories_in_order() -> None:
    """Rates stand by size though the sweep has them otherwise; a third axis makes panels."""
    plot = column_plot(table(), ColumnChoice("learning_rate", "test_wer", "", "shuffling"))
    assert plot.categories == ["0.1", "0.5"]
    assert [panel.title for panel in plot.panels] == ["shuffling=none", "shuffling=full"]
    assert sorted(plot.panels[1].groups[0].x) == [0, 0, 0, 1, 1, 1]


def test_three_seeds_make_a_box_and_two_do_not() -> None:
    """Boxes need three points; every run keeps its point."""
    fig = draw_columns(table(), ColumnChoice("learning_rate", "test_wer", "shuffling"))
    (ax,) = fig.axes
    points = [line for line in ax.lines if line.get_marker() == "o"]
    assert sum(len(line.get_xdata()) for line in points) == 11
    medians = [line for line in ax.lines if line.get_linewidth() == 2]
    assert len(medians) == 3
    assert len(fig.legends[0].get_texts()) == 2


def test_groups_do_not_cover_each_other() -> None:
    """Groups stand beside their category, symmetrically."""
    labels = ["a", "b", "c"]
    offsets = [offset_of(label, labels) for label in labels]
    assert offsets[1] == 0
    assert offsets[0] == -offsets[2] < 0


def test_an_unmeasured_column_is_named() -> None:
    """What no run has measured is refused in a sentence."""
    with pytest.raises(UserError, match="heldout_mmi: nothing has measured it yet"):
        column_plot(table(), ColumnChoice("learning_rate", "heldout_mmi"))


def test_nothing_is_drawn_while_no_cell_is_done() -> None:
    """What runs under way have measured is not offered, and refused in a sentence."""
    running = table().assign(state="running")
    assert measured_columns(running) == {}
    with pytest.raises(UserError, match="learning_rate: nothing has measured it yet"):
        column_plot(running, ColumnChoice("learning_rate", "test_wer"))


def test_columns_of_different_runs_make_no_points() -> None:
    """Where no run has both numbers, the picture is empty."""
    apart = table()
    apart.loc[apart.index < 6, "test_wer"] = np.nan
    apart.loc[apart.index >= 6, "heldout_wer"] = np.nan
    apart.loc[apart.index < 6, "heldout_wer"] = 0.5
    plot = column_plot(apart, ColumnChoice("heldout_wer", "test_wer", "shuffling"))
    assert plot.labels == []
    assert draw_columns(apart, ColumnChoice("heldout_wer", "test_wer")).axes


def test_a_label_has_one_colour_in_all_panels() -> None:
    """A panel without the first label does not give its colour to the second."""
    pytest.importorskip("bokeh")
    plot = column_plot(table(), ColumnChoice("seed", "test_wer", "shuffling", "shuffling"))
    assert plot.labels == ["shuffling=none", "shuffling=full"]
    page = column_page(plot, "t")
    assert COLOURS[0] in page and COLOURS[1] in page


def test_the_page_that_zooms_needs_no_network() -> None:
    """Bokeh's scripts are in the page, and each point says which run it is."""
    pytest.importorskip("bokeh")
    plot = column_plot(table(), ColumnChoice("learning_rate", "test_wer", "", "shuffling"))
    page = column_page(plot, "t")
    assert "shuffling=none learning_rate=0.1, seed 2" in page
    assert "HoverTool" in page
    assert "<script src=" not in page
