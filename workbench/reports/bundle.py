"""What a paper needs from a report, in a folder beside it.

figures/NN-caption.svg .pdf   every picture of the page
tables/NN-section.csv .tex    every table; LaTeX with the rules of booktabs
numbers/<run>.parquet         all rows of each run, and runs.parquet with a row per run
"""

import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from workbench.figures.tables import run_frame
from workbench.figures.text import csv_text, printable_text
from workbench.reports.page import Document, PageTable, Picture, Rows
from workbench.settings import UserError
from workbench.storage.files import write_file
from workbench.storage.os_errors import explain_os_error
from workbench.storage.run import Run

NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
LONGEST_NAME = 60  # characters of a caption in the name of its file
LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "→": r"$\rightarrow$",
    "–": "--",
}


def write_bundle(document: Document, runs: Sequence[Run], folder: Path) -> Path:
    """Write figures, tables and numbers of a report into ``folder``, which is returned.

    Files of an earlier bundle with the same names are replaced.
    """
    try:
        for path, data in bundle_files(document, runs):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            write_file(folder / path, data)
    except OSError as error:
        reason = explain_os_error(error) or str(error)
        raise UserError(f"{folder}: the bundle cannot be written: {reason}") from None
    return folder


def bundle_files(document: Document, runs: Sequence[Run]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each file of a bundle."""
    pictures = 0
    tables = 0
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Picture):
                pictures += 1
                name = f"figures/{pictures:02d}-{file_name(block.caption)}"
                yield f"{name}.svg", figure_bytes(block.figure, "svg")
                yield f"{name}.pdf", figure_bytes(block.figure, "pdf")
            elif isinstance(block, PageTable) and block.rows:
                tables += 1
                name = f"tables/{tables:02d}-{file_name(section.title)}"
                yield f"{name}.csv", csv_text(pd.DataFrame(block.rows)).encode()
                yield f"{name}.tex", table_latex(block.rows, section.title).encode()

    yield "numbers/runs.parquet", parquet_bytes(run_frame(runs))
    for run in runs:
        rows = run.table()
        if len(rows):
            yield f"numbers/{run.name}.parquet", parquet_bytes(rows)


def file_name(text: str) -> str:
    """Return a caption as a part of a file's name: small letters, digits and dashes."""
    return NOT_IN_A_NAME.sub("-", text.lower()).strip("-")[:LONGEST_NAME].strip("-")


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as SVG or PDF, the same bytes for the same figure."""
    out = io.BytesIO()
    undated = {"Date": None} if kind == "svg" else {"CreationDate": None}
    figure.savefig(out, format=kind, metadata=undated)
    return out.getvalue()


def parquet_bytes(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet; columns that hold lists, or several kinds of values, are text."""
    table = table.copy()
    for column in table.columns:
        kinds = {type(value) for value in table[column].dropna()}
        mixed = len(kinds) > 1 and not kinds <= {int, float}
        if mixed or kinds & {list, dict, tuple}:
            table[column] = table[column].map(str, na_action="ignore")
    out = io.BytesIO()
    table.to_parquet(out, index=False)
    return out.getvalue()


def table_latex(rows: Rows, caption: str) -> str:
    """Return a table in LaTeX with the rules of the package booktabs.

    A first column of text stands to the left, all others to the right.
    """
    titles = list(rows[0])
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{latex_text(caption)}}}",
        f"  \\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}",
        r"    \toprule",
        f"    {_latex_row(titles)}",
        r"    \midrule",
        *(f"    {_latex_row(list(row.values()))}" for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(latex_text(cell) for cell in cells) + r" \\"


def latex_text(text: str) -> str:
    """Return text that LaTeX prints as it is: no character of it is a command."""
    return "".join(LATEX.get(character, character) for character in printable_text(text))
