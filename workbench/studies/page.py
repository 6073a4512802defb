"""The page of a study, its verdict first, and the table of all studies in RESULTS.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.data import PAPER
from workbench.figures.style import PngFigure, png
from workbench.figures.tables import NOT_MEASURED
from workbench.figures.text import markdown_code, markdown_text
from workbench.metrics.means import mean_interval
from workbench.reports.page import (
    Document,
    Listing,
    Note,
    PageBlock,
    PageTable,
    Paragraph,
    Picture,
    Section,
    table_blocks,
    table_markdown,
)
from workbench.reports.report import write_files
from workbench.storage.files import read_json, write_file
from workbench.storage.home import data_folder
from workbench.studies.figures import draw_study, kinds_of
from workbench.studies.finding import Agreement, StudyFinding
from workbench.studies.findings import overall, study_findings
from workbench.studies.gains import FEWEST_POINTS, draw_gains, gain_points, gain_sentence
from workbench.studies.rows import (
    StudyCell,
    StudyResults,
    all_results,
    keep_results,
    rows_folder,
)
from workbench.studies.study import Study, StudyFigure, find_study, study_names

BEGIN = "<!-- studies: `workbench study figures` writes what follows -->"
END = "<!-- end of studies -->"

GAINS = "gains.png"
"""The figure of all studies together."""

CAPTIONS = {
    StudyFigure.INTERVAL: "What a fetch interval costs, and the longest harmless ones",
    StudyFigure.CURVES: "Held-out curves against audio seen",
    StudyFigure.TIME: "Held-out curves against time on the virtual clock",
    StudyFigure.SCATTER: "Frame errors against word errors",
    StudyFigure.BARS: "Test word errors and their differences",
    StudyFigure.STALENESS: "Ages of outer gradients, and the closed form",
    StudyFigure.DRIFT: "How far outer gradients have turned, against age and distance",
}
METHOD = (
    "Differences are of test word errors, errors of common seeds added up; brackets: 95 % "
    "interval, over speakers and, with several seeds, over seeds too. A single seed decides "
    "nothing: its verdict holds for these models only. Held-out numbers: means over seeds."
)


def study_of(results: StudyResults) -> Study:
    """Return the study of rows that were kept."""
    return find_study(results.record.study).of_size(results.record.size)


@dataclass(frozen=True)
class DrawnStudy:
    """The rows of a study, and what follows from them: findings, and its figures by their kind."""

    study: Study
    results: StudyResults
    found: Sequence[StudyFinding]
    figures: Mapping[StudyFigure, PngFigure]

    @classmethod
    def of(cls, results: StudyResults) -> "DrawnStudy":
        """Return a study with its figures drawn, for all of its pages."""
        study = study_of(results)
        figures = {kind: draw_study(study, results, kind) for kind in kinds_of(study, results)}
        return cls(study, results, study_findings(study, results), figures)


# --- the verdict


def verdict_text(study: Study, found: Sequence[StudyFinding]) -> str:
    """Return the verdict of a study in one sentence that follows from its findings."""
    word = overall(found)
    sentences = {
        Agreement.AGREE: "agrees with the paper",
        Agreement.DISAGREE: "disagrees with the paper in part or whole",
        Agreement.UNDECIDED: "is undecided",
        Agreement.OPEN: "answers what the paper leaves open",
        Agreement.MISSING: "has runs that are missing",
    }
    counts = {kind: sum(f.agreement is kind for f in found) for kind in Agreement}
    parts = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    return f"{study.title}: this study {sentences[word]} ({parts})."


def answer_lines(results: StudyResults) -> list[str]:
    """Return the verdict of a study and its findings, a line each."""
    study = study_of(results)
    found = study_findings(study, results)
    return [verdict_text(study, found), *(f"  {finding}" for finding in found)]


# --- tables


def finding_rows(found: Sequence[StudyFinding]) -> list[dict[str, str]]:
    """Return one row per finding."""
    return [
        {
            "claim": finding.claim,
            "verdict": str(finding.agreement),
            "found": finding.found,
            "rests on": finding.weight,
        }
        for finding in found
    ]


def label_rows(results: StudyResults) -> list[dict[str, str]]:
    """Return one row per setting: means over its seeds."""
    return [_label_row(label, results.of_label(label)) for label in results.labels]


def _label_row(label: str, cells: Sequence[StudyCell]) -> dict[str, str]:
    """The means of one setting."""
    test = mean_interval(_numbers([cell.test_wer for cell in cells]))
    interval = ""
    if test.low == test.low:
        interval = f" [{100 * test.low:.2f}, {100 * test.high:.2f}]"
    return {
        "setting": label,
        "runs": str(len(cells)),
        "diverged": str(sum(cell.state == "diverged" for cell in cells)),
        "rate": ", ".join(dict.fromkeys(f"{cell.learning_rate:g}" for cell in cells)),
        "updates": _mean([cell.updates for cell in cells], "{:,.0f}"),
        "virtual s": _mean([cell.seconds for cell in cells], "{:,.0f}"),
        "outer age, updates": _mean([cell.staleness_outer_mean for cell in cells], "{:,.0f}"),
        "outer age, s": _mean([cell.staleness_outer_seconds for cell in cells], "{:,.0f}"),
        "F_MMI": _mean([cell.heldout_mmi for cell in cells], "{:.5f}"),
        "held-out WER %": _mean([cell.heldout_wer for cell in cells], "{:.1f}", 100),
        "frame err %": _mean([cell.frame_error for cell in cells], "{:.1f}", 100),
        "test WER %": _mean([cell.test_wer for cell in cells], "{:.2f}", 100) + interval,
    }


def _numbers(values: Sequence[float | int | None]) -> np.ndarray:
    """The values that were measured."""
    return np.array([value for value in values if value is not None], float)


def _mean(values: Sequence[float | int | None], form: str, factor: float = 1.0) -> str:
    """The mean of what was measured as text, a dash for nothing."""
    measured = _numbers(values)
    return form.format(factor * measured.mean()) if len(measured) else NOT_MEASURED


# --- pages


def study_document(results: StudyResults) -> Document:
    """Return the report on a study, its verdict first."""
    return _document(DrawnStudy.of(results))


def _document(drawn: DrawnStudy) -> Document:
    """The report on a study that is drawn."""
    study = drawn.study
    results = drawn.results
    pictures = [
        Picture(CAPTIONS[kind], figure, study.title) for kind, figure in drawn.figures.items()
    ]
    record = results.record
    sections = [
        Section("Findings", table_blocks(finding_rows(drawn.found))),
        Section("Figures", pictures),
        Section("Settings", [*table_blocks(label_rows(results)), Note(METHOD)]),
        Section(
            "How it was made",
            [Listing(record.command), PageTable(_made_rows(results))],
        ),
    ]
    introduction: list[PageBlock] = [
        Paragraph(verdict_text(study, drawn.found), strong=True),
        Paragraph(study.question),
        Paragraph(f"The paper: {study.claim}"),
        Note(f"{record.done} of {record.cells} runs at size {record.size}. {_source(study)}"),
    ]

    return Document(f"Study {record.study}: {study.title}", introduction, sections)


def _source(study: Study) -> str:
    """Where the paper's numbers are from."""
    return str(read_json(PAPER)["source"]) if study.paper else ""


def _made_rows(results: StudyResults) -> list[dict[str, str]]:
    """What was run, when and where."""
    record = results.record
    said = {
        "runs": f"{record.done} of {record.cells}",
        "seeds": ", ".join(str(seed) for seed in record.seeds),
        "date": record.date,
        "machine": record.machine,
        "versions": record.versions,
        "data": "; ".join(record.corpora),
    }

    return [{"": name, "value": value} for name, value in said.items()]


def _markdown(drawn: DrawnStudy) -> str:
    """The page of a study as Markdown, with its figures beside it."""
    study = drawn.study
    results = drawn.results
    record = results.record
    pictures = [f"![{CAPTIONS[kind]}]({figure_file(results, kind).name})" for kind in drawn.figures]
    parts = [
        f"# Study {record.study}: {markdown_text(study.title)}",
        f"**{markdown_text(verdict_text(study, drawn.found))}**",
        markdown_text(study.question),
        f"The paper: {markdown_text(study.claim)}",
        *pictures,
        table_markdown(finding_rows(drawn.found)),
        table_markdown(label_rows(results)),
        METHOD,
        markdown_code(record.command),
        table_markdown(_made_rows(results)),
    ]

    return "\n\n".join(part for part in parts if part) + "\n"


def figure_file(results: StudyResults, kind: StudyFigure) -> Path:
    """Return the file of a figure of a study."""
    return rows_folder() / f"{results.name}-{kind}.png"


def write_study(results: StudyResults) -> Path:
    """Keep the rows of a study and write its pages; return the HTML report."""
    kept = keep_results(results)
    drawn = DrawnStudy.of(kept)
    _write_pages(drawn)
    out = data_folder() / "reports" / f"study-{kept.name}.html"
    return write_files(out, {".html": _document(drawn).html()})


def _write_pages(drawn: DrawnStudy) -> Path:
    """Write the figures of a study beside its rows, and its page of Markdown; return the page."""
    for kind, figure in drawn.figures.items():
        write_file(figure_file(drawn.results, kind), png(figure))
    page = rows_folder() / f"{drawn.results.name}.md"
    write_file(page, _markdown(drawn).encode())
    return page


# --- all studies


def write_all_studies() -> list[Path]:
    """Draw and write the pages of everything that is kept, and the table in RESULTS.md."""
    kept = all_results()
    pages = [_write_pages(DrawnStudy.of(results)) for results in kept]
    table = rows_folder().parent / "RESULTS.md"
    if table.exists() and BEGIN in table.read_text():
        points = gain_points(kept)
        if len(points) >= FEWEST_POINTS:
            write_file(rows_folder() / GAINS, png(draw_gains(points)))
        write_file(table, with_summary(table.read_text(), kept).encode())
        pages.append(table)

    return pages


def with_summary(text: str, kept: Sequence[StudyResults]) -> str:
    """Return the text with the table of all studies between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [row for results in kept for row in summary_rows(results)]
    there = {results.record.study for results in kept}
    rows += [missing_row(find_study(name)) for name in study_names() if name not in there]
    points = gain_points(kept)
    shown = len(points) >= FEWEST_POINTS
    parts = [
        BEGIN,
        table_markdown(rows),
        *([f"![Gains of F_MMI against gains in words](studies/{GAINS})"] if shown else []),
        gain_sentence(points),
        "Pages: " + ", ".join(f"[{each.name}](studies/{each.name}.md)" for each in kept),
        f"{END}{after}",
    ]
    return before + "\n\n".join(parts)


def summary_rows(results: StudyResults) -> list[dict[str, str]]:
    """Return the rows of a study in the table of all: claim, ours, verdict, margin, weight."""
    study = study_of(results)
    return [
        {
            "study": results.name,
            "claim": finding.claim,
            "ours": finding.found,
            "verdict": str(finding.agreement),
            "Δ": f"{100 * study.margin:g} %",
            "rests on": finding.weight,
        }
        for finding in study_findings(study, results)
    ]


def missing_row(study: Study) -> dict[str, str]:
    """Return the row of a study of which nothing is kept: its claim, and that it was not run."""
    return {
        "study": study.name,
        "claim": study.claim,
        "ours": NOT_MEASURED,
        "verdict": str(Agreement.MISSING),
        "Δ": f"{100 * study.margin:g} %",
        "rests on": "",
    }
