"""Tables on a terminal: as wide as the terminal, page by page, and as they are in a pipe."""

import csv
import io
import pydoc
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from tabulate import tabulate

NOT_MEASURED = "–"
GAP = 2  # characters between columns
HANGING = 4  # spaces before what a line that is too wide goes on with
PIPE_WIDTH = 10**6  # in a file or a pipe nothing is left out


@dataclass(frozen=True)
class TextColumn:
    """A column: its title, its cells, and how soon it is left out where the terminal is narrow.

    Columns of rank 0 always stay; of the others the highest rank is left out first.
    """

    title: str
    cells: Sequence[str]
    rank: int = 0
    left: bool = False  # text to the left; numbers to the right

    @property
    def width(self) -> int:
        """The characters of its widest cell."""
        return max(len(text) for text in (self.title, *self.cells))


def terminal_width(out: TextIO | None = None) -> int:
    """Return the characters in a line of ``out``, by default standard output."""
    stream = out or sys.stdout
    if not stream.isatty():
        return PIPE_WIDTH
    return shutil.get_terminal_size().columns


def fitting_columns(columns: Sequence[TextColumn], width: int) -> list[TextColumn]:
    """Return the columns that fit into ``width`` characters; those of the highest rank go first."""
    shown = [column for column in columns if column.cells]
    while sum(column.width + GAP for column in shown) - GAP > width:
        optional = [column for column in shown if column.rank]
        if not optional:
            break
        least = max(optional, key=lambda column: column.rank)
        shown.remove(least)
    return shown


def table_text(columns: Sequence[TextColumn], width: int) -> str:
    """Return a table of at most ``width`` characters, and below it the columns left out.

    Where not even the first columns fit, each row becomes a few lines.
    """
    shown = fitting_columns(columns, width)
    if sum(column.width + GAP for column in shown) - GAP > width:
        return _list_text(columns, width)

    cells = [[column.title for column in shown]]
    cells += [list(row) for row in zip(*(column.cells for column in shown), strict=True)]
    sides = ["left" if column.left else "right" for column in shown]
    text = tabulate(cells, tablefmt="plain", colalign=sides, disable_numparse=True)
    text = "\n".join(line.rstrip() for line in text.splitlines())
    left_out = [column.title for column in columns if column not in shown]
    if not left_out:
        return text
    note = textwrap.fill(f"columns that did not fit: {', '.join(left_out)}", width)
    return f"{text}\n{note}"


def _list_text(columns: Sequence[TextColumn], width: int) -> str:
    """Return each row as lines ``title: cell``, cut at ``width``; empty cells are left out."""
    lines = []
    for row in zip(*(column.cells for column in columns), strict=True):
        for column, text in zip(columns, row, strict=True):
            if text not in ("", NOT_MEASURED):
                lines.append(f"{column.title}: {text}"[:width])
        lines.append("")
    return "\n".join(lines).rstrip()


def csv_rows(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as CSV with titles; None becomes an empty cell, and no cell is a formula."""
    from workbench.figures.text import csv_cell

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(["" if value is None else csv_cell(value) for value in row] for row in rows)
    return out.getvalue()


def show(text: str, out: TextIO | None = None) -> None:
    """Print text, page by page if it is longer than the terminal is high."""
    stream = out or sys.stdout
    height = shutil.get_terminal_size().lines
    if stream.isatty() and sys.stdin.isatty() and text.count("\n") >= height - 1:
        pydoc.pager(text)
    else:
        print(text, file=stream)


def _wrapped(line: str, width: int, inner: str) -> str:
    return textwrap.fill(
        line, width, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False
    )


def print_lines(text: object) -> None:
    """Print text; on a terminal, lines that are wider go on below, further in, word by word."""
    width = terminal_width()
    for line in str(text).splitlines():
        inner = " " * (len(line) - len(line.lstrip()) + HANGING)
        if len(line) <= width:
            print(line)
        else:
            print(_wrapped(line, width, inner))


def rows_text(rows: Sequence[Mapping[str, str]], left: Sequence[str] = ()) -> str:
    """Return rows as `table_text` for the terminal; of too many columns the last are left out.

    The first column always stays. Columns ``left`` have their text to the left.
    """
    if not rows:
        return ""
    columns = [
        TextColumn(title, [row[title] for row in rows], rank, title in left)
        for rank, title in enumerate(rows[0])
    ]
    return table_text(columns, terminal_width())


def json_rows(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> list[dict[str, object]]:
    """Return rows as objects, for JSON."""
    return [dict(zip(titles, row, strict=True)) for row in rows]
