"""Legends that fit, lines that differ, and pictures on dark pages."""

import io

from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from workbench.figures.dark import COLOURS_CLASS, PICTURE_CLASS, picture_html
from workbench.figures.style import add_legend_below, figure_with_panel, line_style, png


def test_no_two_lines_look_the_same() -> None:
    """Colours repeat after seven lines, and then come with other dashes."""
    styles = {(line_style(n)["color"], line_style(n)["linestyle"]) for n in range(49)}
    assert len(styles) == 49


def test_long_legends_stay_inside_the_figure() -> None:
    """Whatever the labels, no sample and no value is cut at an edge."""
    for labels in (["a"] * 5, [f"learning_rate={n}e-05 shuffling=on-the-fly" for n in range(12)]):
        fig, _ = figure_with_panel(6.0, 4.0)
        add_legend_below(fig, [Line2D([], [], label=label) for label in labels])
        fig.savefig(io.BytesIO(), dpi=50)  # lays it out
        inches = fig.legends[0].get_window_extent().transformed(fig.dpi_scale_trans.inverted())
        assert isinstance(inches, Bbox)
        assert inches.x0 >= 0
        assert inches.x1 <= 6.0
        assert len(fig.legends[0].get_texts()) == len(labels)


def test_a_label_wider_than_the_figure_is_broken() -> None:
    """A single long label takes several lines."""
    fig, _ = figure_with_panel(3.0, 2.0)
    add_legend_below(fig, [Line2D([], [], label="word " * 30)])
    (text,) = fig.legends[0].get_texts()
    assert "\n" in text.get_text()


def test_pictures_of_lines_turn_dark_and_others_stay() -> None:
    """In a dark theme a filter makes lines light; where lightness has a meaning, there is none."""
    fig, _ = figure_with_panel(2.0, 1.0)
    html = fig._repr_html_()
    assert f'class="{PICTURE_CLASS}"' in html
    assert "jp-theme-light" in html
    assert f'class="{COLOURS_CLASS}"' in picture_html(png(fig), keeps_colours=True)
