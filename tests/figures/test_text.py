"""Text from data does nothing in figures, Markdown and CSV but show itself."""

import csv
import io
import warnings

import pandas as pd
import pytest
from matplotlib.text import Text

from workbench.figures.style import add_legend, figure_with_panel, png, set_title
from workbench.figures.text import csv_cell, csv_text, markdown_code, markdown_text, printable_text

# The set with k2 has no documentation tools, and no parser of Markdown with them.
MarkdownIt = pytest.importorskip("markdown_it").MarkdownIt

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![pixel](https://elsewhere.example/p.png)",
    "[ref]: https://elsewhere.example",
    "<https://elsewhere.example>",
    "`code` **bold** _slant_ ~~struck~~",
    "# heading",
    "- item",
    "+ item",
    "1. item",
    "2) item",
    "> quotation",
    "===",
    "---",
    "a | b | c",
    "|---|",
    "line\n\n# heading",
    "line\r<b>",
    "    indented",
    "```\nfence",
    "$\\frac$",
    "$x^$",
    "$$",
    "costs $5 or $6",
    "\\$ \\( \\[",
    "tab\there",
    "\udc80 alone",
    "\x00 \x1b[31m red",
    "=HYPERLINK(1)",
    "+1+1",
    "-cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "&lt;b&gt;",
    "\u202eright to left",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_figures_show_text_as_it_is(text: str) -> None:
    """A title, a name in a legend, a label at an axis and a note are drawn literally."""
    fig, ax = figure_with_panel(9, 5)
    set_title(ax, text)
    ax.plot([1, 2], [10, 1000], label=text if not text.startswith("_") else f"x{text}")
    ax.set_yscale("log")
    ax.set_xticks([1, 2], [text, "b"])
    ax.set_xlabel(text)
    ax.text(1.5, 100, text)
    add_legend(ax)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # of a font, not of us
        assert png(fig).startswith(b"\x89PNG")
    drawn = [t for t in fig.findobj(Text) if isinstance(t, Text) and not t.get_parse_math()]
    assert printable_text(text.split("\n")[0]) in "\n".join(t.get_text() for t in drawn)


def test_powers_of_ten_stay_formulas() -> None:
    """What matplotlib writes at a logarithmic axis is no text from data."""
    fig, ax = figure_with_panel(9, 5)
    ax.plot([1, 2], [10, 1000])
    ax.set_yscale("log")
    png(fig)
    assert any(label.get_parse_math() for label in ax.get_yticklabels())


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_text_as_it_is(text: str) -> None:
    """What a reader of Markdown makes of the text is one paragraph that holds the text."""
    reader = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    tokens = reader.parse(markdown_text(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    kinds = {child.type for child in tokens[1].children}
    assert kinds <= {"text", "text_special"}
    shown = "".join(child.content for child in tokens[1].children)
    assert shown.split() == printable_text(text).split()


@pytest.mark.parametrize("text", HOSTILE)
def test_code_in_markdown_is_one_block(text: str) -> None:
    """A command with line breaks and fences in it does not end its block."""
    reader = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    tokens = reader.parse("before\n\n" + markdown_code(f"echo {text}") + "\n\nafter")
    types = [token.type for token in tokens]
    paragraph = ["paragraph_open", "inline", "paragraph_close"]
    assert types == [*paragraph, "code_block", *paragraph]


@pytest.mark.parametrize(
    "text", [text for text in HOSTILE if text.isprintable()] + ["a\tb", "\r=1"]
)
def test_csv_has_no_formulas(text: str) -> None:
    """A spreadsheet computes nothing, whether the text is a cell or a title."""
    table = pd.DataFrame({"a": [text], text: [1.5]})
    rows = list(csv.reader(io.StringIO(csv_text(table), newline="")))
    assert len(rows) == 2
    for cell in (*rows[0], *rows[1]):
        assert not cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
    assert rows[1][1] == "1.5"


@pytest.mark.parametrize("value", [-1, -0.5, 1e-9, None, True, "-0.25", "+3", "-inf", "plain"])
def test_numbers_stay_numbers(value: object) -> None:
    """Numbers, also those that are text, are written as they are."""
    assert csv_cell(value) == value
