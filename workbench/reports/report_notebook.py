"""The report as a notebook without outputs: one call per table and figure of the page."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from workbench.figures.text import markdown_text


class CellKind(Enum):
    """Kinds of cells of a notebook."""

    MARKDOWN = "markdown"
    CODE = "code"


class NotebookCell(NamedTuple):
    """A cell of a notebook."""

    kind: CellKind
    text: str


def prose(text: str) -> NotebookCell:
    """Return a cell of Markdown."""
    return NotebookCell(CellKind.MARKDOWN, text)


def code(text: str) -> NotebookCell:
    """Return a cell of Python."""
    return NotebookCell(CellKind.CODE, text)


def notebook(cells: Sequence[NotebookCell]) -> str:
    """Return a notebook (format 4.5) as JSON, the same text for the same cells."""
    # It compiles a grammar when it is imported: that takes as long as all else of the package.
    import nbformat

    made = []
    for number, cell in enumerate(cells):
        new_cell = (
            nbformat.v4.new_code_cell
            if cell.kind is CellKind.CODE
            else nbformat.v4.new_markdown_cell
        )
        made.append(new_cell(cell.text, id=f"cell-{number}"))

    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return nbformat.writes(nbformat.v4.new_notebook(cells=made, metadata=metadata)) + "\n"


def notebook_of_runs(names: Sequence[str], title: str) -> str:
    """Return the notebook of a report on runs."""
    arguments = ", ".join(repr(name) for name in names)
    return notebook(
        [
            prose(f"# {markdown_text(title)}"),
            code(
                "import workbench.notebook as wb\n\n"
                f"runs = wb.open_runs({arguments})\nwb.run_frame(runs)"
            ),
            prose("Held-out curves, by audio seen and by update."),
            code("wb.draw_curves(runs)"),
            code('wb.draw_curves(runs, against="updates")'),
            prose("Verdicts on each pair of tested runs."),
            code("wb.pairwise(runs)"),
            prose("Kinds of word errors, and the staleness of gradients."),
            code("wb.draw_word_errors(runs)"),
            code("wb.draw_staleness(runs)"),
            prose("Settings in which the runs differ."),
            code("wb.settings_difference(runs)"),
        ]
    )


def notebook_of_sweep(name: str, title: str, axes: Sequence[str]) -> str:
    """Return the notebook of a report on a sweep; ``axes``: the settings that it varies."""
    varied = list(axes)
    return notebook(
        [
            prose(f"# {markdown_text(title)}"),
            code(f"import workbench.notebook as wb\n\nfound = wb.results({name!r})\nfound.groups"),
            code("wb.verdict_table(found)"),
            code(f"wb.draw_matrix(found.table, {varied!r})"),
            code("wb.draw_bands(found.runs)"),
            code(f"wb.draw_effects(found.table, {varied!r}, paper=found.sweep.paper)"),
            code("wb.draw_scatter(found.runs)"),
        ]
    )
