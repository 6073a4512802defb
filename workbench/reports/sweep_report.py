"""The report on a sweep: question, results, verdicts, figures, failures, commands."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from workbench.data import PAPER
from workbench.figures.curves import Against, draw_bands
from workbench.figures.staleness import draw_staleness
from workbench.figures.sweep_matrix import cause_text, number_text, scale
from workbench.figures.sweep_plots import draw_effects, draw_scatter
from workbench.figures.sweep_squares import draw_matrix
from workbench.figures.tables import NOT_MEASURED
from workbench.figures.text import csv_text, markdown_code, markdown_text
from workbench.metrics.significance import Comparison
from workbench.reports.bundle import write_bundle
from workbench.reports.interactive import write_interactive
from workbench.reports.page import (
    Document,
    Note,
    PageBlock,
    PageTable,
    Paragraph,
    Picture,
    Section,
    table_blocks,
    table_markdown,
)
from workbench.reports.report import (
    NONE,
    Extras,
    failure_rows,
    has_staleness,
    html_file,
    reproduction_blocks,
    versions,
    write_files,
)
from workbench.reports.report_notebook import notebook_of_sweep
from workbench.storage.files import read_json
from workbench.storage.run import Run
from workbench.sweeping.plan import CellState, count_states
from workbench.sweeping.results import Results, result_sentences
from workbench.sweeping.spec import Sweep

MEASURE_TITLES = {
    "heldout_mmi": "F_MMI",
    "heldout_wer": "WER %",
    "frame_error": "frame err %",
    "test_wer": "test WER %",
}
MOST_SENTENCES = 3  # that a page opens with
SWEEP_EXPLANATION = (
    "Means over seeds; brackets: Student's 95 % interval over seeds, absent for a single one. "
    "Verdicts: test WER against the first setting, speaker by speaker, errors of common seeds "
    "added up; they account for the choice of speakers, not of seeds. Equivalent: by two one-sided "
    "tests at 5 %."
)
CAPTIONS: dict[Against, str] = {
    "epochs": "Against audio seen",
    "updates": "Against updates",
    "seconds": "Against time",
}


def write_sweep_report(
    found: Results, out: Path | None = None, title: str | None = None, extras: Extras = NONE
) -> Path:
    """Write the report on a sweep as HTML, Markdown, CSV and notebook; return the HTML file.

    ``out``: the HTML file, by default named after the sweep in the folder of reports. ``extras``:
    what is written beside it.
    """
    sweep = found.sweep
    out = html_file(out, sweep.name)
    title = title or f"Sweep {sweep.name}"
    document = sweep_document(found, title)
    if extras.bundle:
        write_bundle(document, all_runs_of(found), out.with_suffix(""))
    if extras.interactive:
        page = out.with_name(f"{out.stem}-interactive.html")
        write_interactive(found.runs, page, title)
    files = {
        ".html": document.html(),
        ".md": sweep_markdown(found, title),
        ".csv": csv_text(found.table),
        ".ipynb": notebook_of_sweep(sweep.name, title, varied_axes(sweep, found.table)),
    }
    return write_files(out, files)


def varied_axes(sweep: Sweep, table: pd.DataFrame) -> list[str]:
    """Return the settings that differ between cells, at least one of them."""
    varied = [axis for axis in sweep.varied if table[axis].nunique() > 1]
    return varied or list(sweep.varied[:1]) or ["seed"]


def sweep_document(found: Results, title: str) -> Document:
    """Return the report as a document."""
    sweep = found.sweep
    introduction: list[PageBlock] = [Paragraph(sweep.question)] if sweep.question else []
    introduction += opening_blocks(result_sentences(found))

    matrix = draw_matrix(found.table, varied_axes(sweep, found.table))
    commands = [sweep.command(), "", sweep.as_python()]
    sections = [
        Section("Results", [*table_blocks(group_rows(found)), Note(SWEEP_EXPLANATION)]),
        Section("Verdicts", table_blocks(verdict_rows(found))),
        Section("All runs", [Picture("Held-out word error rate of each setting", matrix)]),
        Section("Curves", sweep_curve_pictures(found)),
        Section("Effect of each factor", effect_pictures(found)),
        Section(
            "Frame error against word error",
            [Picture("From hollow to full mark", draw_scatter(found.runs))],
        ),
        Section("The paper", paper_blocks(sweep.paper)),
        Section("Settings", [PageTable(shared_rows(sweep))]),
        Section("States of the cells", state_blocks(found)),
        Section("Utterances set aside", table_blocks(set_aside_rows(found))),
        Section("How to reproduce", reproduction_blocks(all_runs_of(found), commands)),
    ]
    return Document(title, introduction, sections)


def opening_blocks(sentences: Sequence[str]) -> list[PageBlock]:
    """Return the results that a page opens with; many of them are left to the tables below."""
    opening: list[PageBlock] = [
        Paragraph(sentence, strong=True) for sentence in sentences[:MOST_SENTENCES]
    ]
    more = len(sentences) - MOST_SENTENCES
    if more > 0:
        opening.append(Note(f"{more} more results are in the tables below."))
    return opening


def sweep_markdown(found: Results, title: str) -> str:
    """Return results, verdicts, settings and command as Markdown."""
    sweep = found.sweep
    parts = [
        f"# {markdown_text(title)}",
        markdown_text(sweep.question),
        table_markdown(group_rows(found)),
        SWEEP_EXPLANATION,
        *[markdown_text(sentence) for sentence in result_sentences(found)],
        "## Verdicts",
        table_markdown(verdict_rows(found)),
        "## States of the cells",
        state_sentence(found),
        table_markdown(unfinished_rows(found)),
        "## Utterances set aside",
        table_markdown(set_aside_rows(found)),
        "## How to reproduce",
        markdown_code(sweep.command()),
        markdown_code(sweep.as_python()),
        markdown_text(versions(all_runs_of(found))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def all_runs_of(found: Results) -> list[Run]:
    """Return the runs of a sweep, in the order of its cells' labels."""
    return [run for group in found.runs.values() for run in group]


def group_rows(found: Results) -> list[dict[str, str]]:
    """Return one row per setting, with means and intervals over seeds."""
    rows = []
    for group in found.groups.to_dict("records"):
        row = {"setting": group["label"], "runs": str(group["n"])}
        row["diverged"] = str(group["diverged"])
        for measure, title in MEASURE_TITLES.items():
            row[title] = interval_text(group, measure)
        rows.append(row)

    return rows


def interval_text(group: Mapping[str, float], measure: str) -> str:
    """Return a mean with its interval as ``12.3 [11.9, 12.7]``, or a dash without values."""
    mean = scale(measure) * group[measure]
    low = scale(measure) * group[f"{measure}_low"]
    high = scale(measure) * group[f"{measure}_high"]
    if pd.isna(mean):
        return NOT_MEASURED
    text = number_text(mean, measure)
    if pd.isna(low):
        return text

    return f"{text} [{number_text(low, measure)}, {number_text(high, measure)}]"


def verdict_rows(found: Results) -> list[dict[str, str]]:
    """Return the comparison of each setting with the baseline, in words."""
    rows = []
    for each in found.verdicts:
        comparison = each.comparison
        tested = f"{comparison.units} {comparison.unit}" if comparison else NOT_MEASURED
        rows.append(
            {
                "setting": each.label,
                "against": each.against,
                "seeds": str(each.seeds),
                "tested on": tested,
                "difference of test WER, % absolute": difference_text(comparison),
                "verdict": each.text,
            }
        )

    return rows


def difference_text(comparison: Comparison | None) -> str:
    """Return a difference of error rates with its interval, in percent, or a dash."""
    if comparison is None:
        return NOT_MEASURED
    difference = f"{100 * comparison.difference:+.2f}"
    low = comparison.low
    high = comparison.high
    if low is None or high is None:
        return difference
    return f"{difference} [{100 * low:+.2f}, {100 * high:+.2f}]"


def sweep_curve_pictures(found: Results) -> list[PageBlock]:
    """Return held-out curves by audio seen, update and time, and staleness if there is any."""
    time_stands_still = all(cell.cell.settings.clock.kind == "free" for cell in found.cells)
    pictures: list[PageBlock] = []
    for against, caption in CAPTIONS.items():
        if against != "seconds" or not time_stands_still:
            pictures.append(Picture(caption, draw_bands(found.runs, against=against)))

    first_seeds = {label: runs[0] for label, runs in found.runs.items() if has_staleness(runs[0])}
    if first_seeds:
        caption = "Staleness, first seed of each setting"
        fig = draw_staleness(list(first_seeds.values()), labels=list(first_seeds))
        pictures.append(Picture(caption, fig))

    return pictures


def effect_pictures(found: Results) -> list[PageBlock]:
    """Return effects on test WER, or on held-out WER if nothing was tested, or nothing."""
    measured = [m for m in ("test_wer", "heldout_wer") if found.table[m].notna().any()]
    if not measured:
        return []

    axes = varied_axes(found.sweep, found.table)
    fig = draw_effects(found.table, axes, measured[0], found.sweep.paper)
    return [Picture("Mean over all runs with that value, and its interval", fig)]


def paper_blocks(entry: str) -> list[PageBlock]:
    """Return the paper's numbers under ``entry`` of its data file, with the source, or nothing."""
    paper = read_json(PAPER)
    if entry not in paper:
        return []

    rows = [
        {"": name.replace("_", " "), "paper": str(value)} for name, value in paper[entry].items()
    ]
    return [PageTable(rows), Note(paper["source"])]


def shared_rows(sweep: Sweep) -> list[dict[str, str]]:
    """Return the settings that all cells share."""
    shared = {
        "corpus": sweep.corpus,
        "preset": sweep.preset,
        "init": sweep.init or "none",
        **sweep.settings,
    }
    return [{"setting": name, "value": str(value)} for name, value in shared.items()]


def state_sentence(found: Results) -> str:
    """Return how many cells are in which state."""
    counts = ", ".join(f"{count} {state}" for state, count in count_states(found.cells).items())
    return f"{len(found.cells)} cells: {counts}."


def state_blocks(found: Results) -> list[PageBlock]:
    """Return the states of all cells, and the cause of each that has not come to its end."""
    return [Paragraph(state_sentence(found)), *table_blocks(unfinished_rows(found))]


def unfinished_rows(found: Results) -> list[dict[str, str]]:
    """Return one row for the seeds of a setting that are not done for the same cause."""
    seeds: dict[tuple[str, str, str], list[str]] = {}
    for planned in found.cells:
        if planned.state != CellState.DONE:
            why = (planned.cell.label, planned.state.value, cause_text(planned.error))
            seeds.setdefault(why, []).append(str(planned.cell.seed))

    return [
        {"setting": label, "seeds": ", ".join(those), "state": state, "cause": cause}
        for (label, state, cause), those in seeds.items()
    ]


def set_aside_rows(found: Results) -> list[dict[str, str]]:
    """Return one row per run that could not use some of its utterances, with the reasons."""
    runs = [planned.run for planned in found.cells if planned.run is not None]
    rows = failure_rows([run for run in runs if run.summary.set_aside])
    columns = ("run", "utterances set aside")
    return [{column: row[column] for column in columns} for row in rows]
