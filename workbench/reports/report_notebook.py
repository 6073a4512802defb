"""The report as a notebook without outputs: every table and picture of the page by the call that makes it."""

import json
from collections.abc import Sequence

from workbench.reports.page import plain


def notebook(cells: Sequence[tuple[str, str]]) -> str:
    """A notebook (format 4.5) from ("markdown" | "code", text) pairs, the same text for the same cells."""
    made = []
    for number, (kind, text) in enumerate(cells):
        cell = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": text.splitlines(keepends=True),
        }
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return (
        json.dumps({"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1)
        + "\n"
    )


def notebook_of_runs(names: Sequence[str], title: str) -> str:
    """The notebook of a report on runs."""
    opened = (
        f"import workbench.notebook as wb\n\nruns = wb.open_runs({', '.join(map(repr, names))})"
    )
    return notebook(
        [
            ("markdown", f"# {plain(title)}"),
            ("code", f"{opened}\nwb.run_frame(runs)"),
            ("markdown", "Held-out curves, by audio seen and by update."),
            ("code", "wb.draw_curves(runs)"),
            ("code", 'wb.draw_curves(runs, against="updates")'),
            ("markdown", "What the tests say."),
            ("code", "wb.pairwise(runs)"),
            ("markdown", "Kinds of word errors, and the staleness of gradients."),
            ("code", "wb.draw_word_errors(runs)"),
            ("code", "wb.draw_staleness(runs)"),
            ("markdown", "Settings in which the runs differ."),
            ("code", "wb.settings_difference(runs)"),
        ]
    )


def notebook_of_sweep(name: str, title: str, axes: Sequence[str]) -> str:
    """The notebook of a report on a sweep."""
    return notebook(
        [
            ("markdown", f"# {plain(title)}"),
            (
                "code",
                f"import workbench.notebook as wb\n\nfound = wb.results({name!r})\nfound.groups",
            ),
            ("code", "found.significance"),
            ("code", f"wb.draw_matrix(found.table, {list(axes)!r})"),
            ("code", "wb.draw_bands(found.runs)"),
            ("code", f"wb.draw_effects(found.table, {list(axes)!r}, paper=found.sweep.paper)"),
            ("code", "wb.draw_scatter(found.runs)"),
        ]
    )
