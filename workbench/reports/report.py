"""The report on runs: HTML that opens without network, Markdown, CSV and a notebook."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.data import PAPER
from workbench.figures.curves import (
    DEFAULT_MEASURES,
    MEASURES,
    curves,
    draw_curves,
    draw_shares,
    draw_word_errors,
)
from workbench.figures.example import draw_lattice, draw_occupancies, draw_spectrogram
from workbench.figures.staleness import draw_staleness, has_ages
from workbench.figures.tables import NOT_MEASURED, display_rows, run_frame
from workbench.figures.text import csv_text, markdown_code, markdown_text
from workbench.figures.timeline import draw_queues, draw_usage, link_load
from workbench.metrics.verdicts import MARGIN
from workbench.reports.bundle import write_bundle
from workbench.reports.improvements import improvements, verdict_sentences
from workbench.reports.interactive import write_interactive
from workbench.reports.methods import BIBTEX, CITATION, methods_texts
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
from workbench.reports.report_notebook import notebook_of_runs
from workbench.settings import Settings, UserError
from workbench.storage.example import read_example
from workbench.storage.files import read_json, write_file
from workbench.storage.home import data_folder
from workbench.storage.os_errors import explain_os_error
from workbench.storage.rows import DivergenceRow, RecoveryRow, UsageRow
from workbench.storage.run import Run

LONGEST_NAME = 120  # characters of a report's name that lists its runs

EXPLANATION = (
    "F_MMI: held-out, per frame, natural logarithm; WER: held-out with the unigram; both at the "
    "scale of the run. Test WER: with the n-gram, at the scales that suit the model on held-out "
    "data, with its 95 % interval over the speakers of the test set; p and verdict: against the "
    "run that it started from, speaker by speaker."
)


@dataclass(frozen=True)
class Extras:
    """What is written beside a report, and in its page.

    ``bundle``: a folder with figures, tables and numbers for a paper. ``interactive``: a page whose
    curves can be zoomed. ``sections``: further ones of the page, after its results.
    """

    bundle: bool = False
    interactive: bool = False
    sections: tuple[Section, ...] = ()


NONE = Extras()


def write_report(
    runs: Sequence[Run],
    out: Path | None = None,
    title: str | None = None,
    extras: Extras = NONE,
    margin: float = MARGIN,
) -> Path:
    """Write the report on ``runs`` as HTML, Markdown, CSV and notebook; return the HTML file.

    ``out``: the HTML file, by default named after the runs in the folder of reports. ``extras``:
    what is written beside it and in it. ``margin``: the difference of test word error rates that
    still counts as equivalent.
    """
    out = html_file(out, report_name([run.name for run in runs]))
    title = title or f"Asynchronous sequence training: {runs[0].record.corpus.name}"
    document = runs_document(runs, title, margin, extras.sections)
    if extras.bundle:
        write_bundle(document, runs, out.with_suffix(""))
    if extras.interactive:
        page = out.with_name(f"{out.stem}-interactive.html")
        write_interactive({run.name: [run] for run in runs}, page, title)
    files = {
        ".html": document.html(),
        ".md": markdown(runs, title, margin),
        ".csv": csv_text(run_frame(runs, margin)),
        ".ipynb": notebook_of_runs([run.name for run in runs], title),
    }
    return write_files(out, files)


def write_files(out: Path, files: Mapping[str, str]) -> Path:
    """Write the forms of a report, by suffix, side by side; return the HTML file."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for suffix, text in files.items():
            write_file(out.with_suffix(suffix), text.encode(errors="backslashreplace"))
    except OSError as error:
        reason = explain_os_error(error) or str(error)
        raise UserError(f"{out}: the report cannot be written: {reason}") from None
    return out


def html_file(out: Path | None, name: str) -> Path:
    """Return the HTML file of a report: ``out``, or ``name`` in that folder or in the usual one.

    UserError if ``out`` cannot be a file.
    """
    out = out or data_folder() / "reports"
    if out == data_folder() / "reports" or os.path.isdir(out):
        out = out / f"{name}.html"
    if not out.name or "\0" in str(out):
        raise UserError(f"--out {str(out)!r}: name a file or a folder")
    return out if out.suffix == ".html" else out.with_name(f"{out.name}.html")


def report_name(names: Sequence[str]) -> str:
    """Return the name of the report on runs: of all of them, so that no other report has it."""
    joined = "+".join(names)
    if len(joined) <= LONGEST_NAME:
        return joined
    digest = hashlib.sha256(joined.encode()).hexdigest()[:8]
    return f"{names[-1]}+{len(names) - 1}-others-{digest}"


def runs_document(
    runs: Sequence[Run], title: str, margin: float = MARGIN, further: Sequence[Section] = ()
) -> Document:
    """Return the report as a document, with ``further`` sections after the results."""
    verdicts = [Paragraph(sentence, strong=True) for sentence in verdict_sentences(runs, margin)]
    commands = [run.record.command for run in runs]
    settings_note = Note("Settings that differ from their defaults in any run.")
    sections = [
        Section("Results", [PageTable(display_rows(runs, margin)), Note(EXPLANATION)]),
        *further,
        Section("Curves", curve_pictures(runs)),
        Section("Asynchrony", asynchrony_pictures(runs)),
        *example_sections(runs),
        Section("The paper beside it", [PageTable(paper_rows(runs)), Note(paper_source())]),
        Section("Settings", [*table_blocks(setting_rows(runs)), settings_note]),
        Section("Failures", table_blocks(failure_rows(runs))),
        Section("Methods, for a paper", methods_blocks(runs)),
        Section("How to reproduce", reproduction_blocks(runs, commands)),
    ]
    return Document(title, [Paragraph(question(runs)), *verdicts], sections)


def methods_blocks(runs: Sequence[Run]) -> list[PageBlock]:
    """Return how the runs were trained, in sentences for a paper, and what to cite."""
    paragraphs: list[PageBlock] = [Paragraph(text) for text in methods_texts(runs)]
    return [*paragraphs, Note(f"[1] {CITATION}"), Listing(BIBTEX)]


def markdown(runs: Sequence[Run], title: str, margin: float = MARGIN) -> str:
    """Return results, verdicts, settings and commands as Markdown."""
    commands = markdown_code("\n".join(run.record.command for run in runs))
    parts = [
        f"# {markdown_text(title)}",
        markdown_text(question(runs)),
        *[markdown_text(sentence) for sentence in verdict_sentences(runs, margin)],
        table_markdown(display_rows(runs, margin)),
        EXPLANATION,
        "## The paper beside it",
        table_markdown(paper_rows(runs)),
        "## Settings",
        table_markdown(setting_rows(runs)),
        "## Failures",
        table_markdown(failure_rows(runs)),
        "## Methods, for a paper",
        *[markdown_text(text) for text in methods_texts(runs)],
        markdown_text(f"[1] {CITATION}"),
        "## How to reproduce",
        commands,
        markdown_text(versions(runs)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def curve_pictures(runs: Sequence[Run]) -> list[PageBlock]:
    """Return held-out curves, kinds of word errors, and what became of the frames.

    Curves are against audio seen, against updates and, unless all clocks stand still, against time.
    """
    last = last_measurements(runs)
    by_updates = draw_curves(runs, against="updates")
    pictures: list[PageBlock] = [
        Picture("Held-out curves against audio seen", draw_curves(runs), last),
        Picture("Held-out curves against updates", by_updates, last),
    ]
    if any(run.settings.clock.kind != "free" for run in runs):
        by_time = draw_curves(runs, against="seconds")
        pictures.append(Picture("Held-out curves against time", by_time, last))
    pictures.append(Picture("Kinds of word errors", draw_word_errors(runs)))

    for run in runs:
        if run.settings.sequence:
            pictures.append(Picture(f"Frames of {run.name}", draw_shares(run)))

    return pictures


def last_measurements(runs: Sequence[Run]) -> str:
    """Return the last point of each curve in words."""
    ends = []
    for measure in DEFAULT_MEASURES:
        found = curves(runs, measure)
        values = ", ".join(f"{curve.y[-1]:.4g} for {curve.run}" for curve in found)
        if values:
            ends.append(f"{MEASURES[measure].title} ends at {values}")
    return "; ".join(ends)


def asynchrony_pictures(runs: Sequence[Run]) -> list[PageBlock]:
    """Return the staleness of runs with several replicas, and how their processes spent time."""
    several = [run for run in runs if has_staleness(run)]
    timed = [run for run in several if run.settings.clock.kind != "free"]

    pictures: list[PageBlock] = []
    if several:
        pictures.append(Picture("Staleness of gradients", draw_staleness(several)))
    for run in timed:
        caption = f"How processes of {run.name} spent their time"
        load = link_load(run.table(UsageRow))
        if load is not None:
            caption += f"; the server's busiest link was in use for {load:.0%} of it"
        pictures.append(Picture(caption, draw_usage(run)))

    for run in timed:
        if run.settings.sequence:
            pictures.append(Picture(f"Queues of {run.name}", draw_queues(run)))

    return pictures


def has_staleness(run: Run) -> bool:
    """Whether the run has several replicas and has measured the staleness of their gradients."""
    return run.settings.asynchrony.replicas > 1 and has_ages(run)


def question(runs: Sequence[Run]) -> str:
    """Return what these runs find out, as a question about the settings that differ."""
    all_settings = [run.record.settings for run in runs]
    differing = [
        name
        for name in all_settings[0]
        if len({str(settings.get(name)) for settings in all_settings}) > 1
    ]
    corpora = ", ".join(dict.fromkeys(run.record.corpus.name for run in runs))
    effect = f"to F_MMI and to word errors on {corpora}?"
    if not differing:
        return f"What does training with these settings do {effect}"

    *first, last = differing
    names = f"{', '.join(first)} and {last}" if first else last
    return f"What do {names} do {effect} (Their settings differ in nothing else.)"


def example_sections(runs: Sequence[Run]) -> list[Section]:
    """Return a section on one utterance of the last run that has one, or nothing."""
    for run in reversed(runs):
        example = read_example(run)
        if example is not None:
            break
    else:
        return []

    transcripts = {"reference": example.reference, **example.hypotheses}
    rows = [{"": source, "words": words} for source, words in transcripts.items()]
    blocks: list[PageBlock] = [
        PageTable(rows),
        Picture(f"spectrogram and alignment ({run.name})", draw_spectrogram(example)),
        Picture(f"state occupancies ({run.name})", draw_occupancies(example)),
        Picture(f"lattice ({run.name})", draw_lattice(example)),
    ]
    return [Section(f"One utterance: {example.utterance}", blocks)]


def paper_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return table 1 of the paper, and a row for each improvement among these runs."""
    rows = []
    for language, rates in read_json(PAPER)["table1"].items():
        if isinstance(rates, dict):
            rows.append(_gain_row(f"paper, {language}, CE → MMI", rates["ce"], rates["mmi"]))
    for own in improvements(runs):
        rows.append(_gain_row(f"here, {own.run}", 100 * own.before, 100 * own.after))
    return rows


def _gain_row(source: str, before: float, after: float) -> dict[str, str]:
    gain = f"{100 * (before - after) / before:.1f}" if before else NOT_MEASURED
    return {
        "": source,
        "test WER % before": f"{before:.1f}",
        "after": f"{after:.1f}",
        "relative gain %": gain,
    }


def paper_source() -> str:
    """Return the place of table 1 in the paper."""
    paper = read_json(PAPER)
    return f"{paper['source']}, {paper['table1']['where']}."


def setting_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return the settings that differ from their defaults in any run, one column per run."""
    default = Settings().to_dict()
    recorded = {run.name: run.record.settings for run in runs}
    rows = []

    for name, value in default.items():
        if any(settings.get(name) != value for settings in recorded.values()):
            values = {run: str(settings.get(name)) for run, settings in recorded.items()}
            rows.append({"setting": name, **values})

    return rows


NOT_COUNTED = "not counted"  # for runs that were not tested


def failure_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return how each run ended, and how many utterances it could not use for which reasons."""
    rows = []
    for run in runs:
        status = run.status()
        reasons = run.summary.set_aside
        lost = run.summary.test_no_path
        no_path = NOT_COUNTED if lost is None else str(lost)
        set_aside = ", ".join(f"{reason}: {count}" for reason, count in reasons.items())
        recoveries = sum(1 for _ in run.rows(RecoveryRow))
        divergences = sum(1 for _ in run.rows(DivergenceRow))
        rows.append(
            {
                "run": run.name,
                "state": str(status.state),
                "error": status.error,
                "recoveries after a loss": str(recoveries),
                "halvings after a divergence": str(divergences),
                "utterances set aside": set_aside or "none",
                "test utterances without a path": no_path,
            }
        )

    return rows


def versions(runs: Sequence[Run]) -> str:
    """Return the versions of all packages that the runs recorded, each combination once."""
    combinations = []
    for run in runs:
        recorded = run.record.versions
        combinations.append(", ".join(f"{name} {version}" for name, version in recorded.items()))
    return "; ".join(dict.fromkeys(combinations))


def reproduction_blocks(runs: Sequence[Run], commands: Sequence[str]) -> list[PageBlock]:
    """Return the exact commands, and the versions that they ran with."""
    return [Listing("\n".join(c for c in commands if c)), Note(versions(runs))]
