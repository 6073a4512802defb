"""Notebooks as files, for tests.

What reads them compiles a grammar for a second when it is imported. Each process of the suite
imports the files of all tests, so here it is imported when it is needed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode


def read_notebook(path: Path) -> "NotebookNode":
    """Return a notebook of version 4; an error if it is none."""
    import nbformat

    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    return notebook


def write_notebook(path: Path, cells: "list[NotebookNode]", kernel: str = "") -> None:
    """Write cells as a notebook, for a kernel if one is named."""
    from nbformat import v4, write

    notebook = v4.new_notebook(cells=cells)
    if kernel:
        notebook.metadata.kernelspec = {
            "display_name": kernel,
            "language": "python",
            "name": kernel,
        }
    write(notebook, path)


def code_cell(text: str, output: str = "") -> "NotebookNode":
    """Return a cell of code, and what it printed if that is given."""
    from nbformat import v4

    outputs = [v4.new_output("stream", text=output)] if output else []
    return v4.new_code_cell(text, outputs=outputs)


def text_cell(text: str) -> "NotebookNode":
    """Return a cell of prose."""
    from nbformat import v4

    return v4.new_markdown_cell(text)
