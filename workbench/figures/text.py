"""Text from data, made harmless for each kind of output: figures, Markdown, CSV.

Transcripts, names and titles may hold anything. HTML comes from templates that escape every value
(`workbench.reports.render`).
"""

import re
import unicodedata
from html import escape

import pandas as pd

UNSHOWN = "\N{REPLACEMENT CHARACTER}"
MARKDOWN = re.compile(r"[\\`*_\[\]|~!$]")  # marks emphasis, links, images, cells, code, formulas
BLOCK = re.compile(r"^(\s*)([#+\-=]|[0-9]+(?=[.)]))")  # begins a heading, a list or a rule
FORMULA = ("=", "+", "-", "@")  # a spreadsheet computes what begins so, perhaps after a space


def printable_text(text: str) -> str:
    """Return ``text`` on one line: spaces for what separates, a mark for what cannot be shown."""
    return "".join(_printable(character) for character in text)


def _printable(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Zl", "Zp") or character in "\t\n\r\v\f":
        return " "
    return UNSHOWN if category in ("Cc", "Cs") else character


def value_text(value: object) -> str:
    """Return a value of a setting as heads and ticks have it: numbers short."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is: markup, links, images and formulas do nothing."""
    escaped = escape(printable_text(text).strip(), quote=False)
    escaped = MARKDOWN.sub(lambda match: f"\\{match[0]}", escaped)
    return BLOCK.sub(_escape_block, escaped)


def _escape_block(match: re.Match[str]) -> str:
    mark = match[2]
    # Of a number, the point behind it makes a list, and a backslash before a digit is shown.
    return f"{match[1]}{mark}\\" if mark.isdigit() else f"{match[1]}\\{mark}"


def markdown_code(text: str) -> str:
    """Return commands or code as an indented block of Markdown, in which markup does nothing."""
    return "\n".join(f"    {printable_text(line)}" for line in text.splitlines())


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV in which no text is a formula for a spreadsheet; numbers stay numbers.

    Text that begins like a formula gets an apostrophe before it.
    """
    guarded = table.map(csv_cell)
    guarded.columns = [csv_cell(name) for name in table.columns]
    return guarded.to_csv(index=False)


def csv_cell(value: object) -> object:
    """Return a value of a table as a cell of CSV."""
    if not isinstance(value, str):
        return value
    harmless = _is_number(value) or not value.lstrip().startswith(FORMULA)
    return printable_text(value if harmless else f"'{value}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
