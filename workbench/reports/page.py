"""The parts of a report: blocks and sections of an HTML page, and tables and text of Markdown.

Text that comes from data is escaped everywhere, and every picture is inside the page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup
from tabulate import tabulate

from workbench.figures.dark import picture_class
from workbench.figures.style import PngFigure, data_uri
from workbench.figures.text import markdown_text
from workbench.reports.render import render

REPORT_PACKAGE = "workbench.reports"
SHOWN_DPI = 90  # pixels of a page for an inch of a figure, so that its letters can be read
NUMBER_BEGINS = "0123456789+-−–<>±."  # with a dash for what was not measured
UNBROKEN = 24  # characters up to which a cell stays on one line

Rows = Sequence[Mapping[str, str]]


class PageBlock(Protocol):
    """A part of a page."""

    def html(self) -> Markup:
        """Return the part as HTML."""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text, bold if it is ``strong``."""

    text: str
    strong: bool = False

    def html(self) -> Markup:
        return render(REPORT_PACKAGE, "paragraph.html", text=self.text, strong=self.strong)


@dataclass(frozen=True)
class Note:
    """A paragraph of small print."""

    text: str

    def html(self) -> Markup:
        return render(REPORT_PACKAGE, "note.html", text=self.text)


@dataclass(frozen=True)
class PageTable:
    """A table; the keys of the first row are the titles of the columns."""

    rows: Rows

    def html(self) -> Markup:
        return table_html(self.rows)


@dataclass(frozen=True)
class Picture:
    """A figure with its caption; ``text`` says what it shows to those who cannot see it."""

    caption: str
    figure: PngFigure
    text: str = ""

    def html(self) -> Markup:
        inches = self.figure.get_size_inches()
        return render(
            REPORT_PACKAGE,
            "picture.html",
            caption=self.caption,
            alt=f"{self.caption}: {self.text}" if self.text else self.caption,
            uri=data_uri(self.figure),
            style=picture_class(self.figure.keeps_colours),
            width=round(inches[0] * SHOWN_DPI),
            height=round(inches[1] * SHOWN_DPI),
        )


@dataclass(frozen=True)
class Listing:
    """Commands or code, line by line."""

    text: str

    def html(self) -> Markup:
        return render(REPORT_PACKAGE, "listing.html", text=self.text)


@dataclass(frozen=True)
class Section:
    """A heading and the blocks below it."""

    title: str
    blocks: Sequence[PageBlock]


@dataclass(frozen=True)
class Document:
    """A whole report: its title, what stands before the sections, and the sections."""

    title: str
    introduction: Sequence[PageBlock]
    sections: Sequence[Section]

    def html(self) -> str:
        """Return the page; sections without blocks are left out."""
        return render(
            REPORT_PACKAGE,
            "page.html",
            title=self.title,
            introduction=self.introduction,
            sections=[section for section in self.sections if section.blocks],
        )


def table_blocks(rows: Rows) -> list[PageBlock]:
    """Return the table as blocks of a section; none if it has no rows."""
    return [PageTable(rows)] if rows else []


def table_html(rows: Rows) -> Markup:
    """Return rows of text cells as an HTML table, or nothing if there are none."""
    if not rows:
        return Markup("")
    words = [_holds_words([row[title] for row in rows]) for title in rows[0]]
    return render(REPORT_PACKAGE, "table.html", rows=rows, unbroken=UNBROKEN, words=words)


def _holds_words(cells: Sequence[str]) -> bool:
    """Return whether a column holds words, which begin at the left; numbers end at the right."""
    return any(cell and cell[0] not in NUMBER_BEGINS for cell in cells)


def table_markdown(rows: Rows) -> str:
    """Return rows of text cells as a Markdown table, or nothing if there are none."""
    if not rows:
        return ""

    titles = [markdown_text(title) for title in rows[0]]
    cells = [[markdown_text(text) for text in row.values()] for row in rows]
    return tabulate(cells, headers=titles, tablefmt="github", disable_numparse=True)
