"""The report on runs: an HTML file that opens without network and prints well; Markdown, CSV, notebook beside it."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from workbench.figures.curves import draw_curves, draw_shares, draw_word_errors
from workbench.figures.example import draw_lattice, draw_occupancies, draw_spectrogram, read_example
from workbench.figures.staleness import ages, draw_staleness
from workbench.figures.sweep_plots import PAPER
from workbench.figures.tables import display_rows, run_frame, run_row
from workbench.figures.timeline import draw_queues, draw_usage
from workbench.metrics.significance import verdict
from workbench.reports.page import (
    document,
    note,
    picture,
    plain,
    section,
    table_html,
    table_markdown,
)
from workbench.reports.report_notebook import notebook_of_runs
from workbench.settings import Settings
from workbench.storage.run import Run, home, read_json, write_atomically

EXPLAINED = (
    "F_MMI: held-out, per frame, natural logarithm; WER: held-out with the unigram; both at the scale of the run. "
    "Test WER: with the n-gram, at the scales that suit the model on held-out data, with its "
    "95 % bootstrap interval; p: paired bootstrap against the run that it started from."
)


def write_report(runs: Sequence[Run], out: Path | None = None, title: str | None = None) -> Path:
    """Write the report on ``runs`` (HTML, and .md, .csv and .ipynb beside it); returns the HTML file."""
    out = out or home() / "reports" / f"{runs[0].name}.html"
    title = title or f"Asynchronous sequence training: {runs[0].record['corpus']['name']}"
    files = {
        ".html": page(runs, title),
        ".md": markdown(runs, title),
        ".csv": run_frame(runs).to_csv(index=False),
    }
    return write_files(out, files | {".ipynb": notebook_of_runs([r.name for r in runs], title)})


def write_files(out: Path, files: dict[str, str]) -> Path:
    """Write the report's forms side by side; returns the HTML file."""
    out = out if out.suffix == ".html" else out.with_name(out.name + ".html")
    out.parent.mkdir(parents=True, exist_ok=True)
    for suffix, text in files.items():
        write_atomically(out.with_suffix(suffix), text.encode())
    return out


def page(runs: Sequence[Run], title: str) -> str:
    """The whole page."""
    parts = [
        f"<p>{escape(question(runs))}</p>",
        "".join(f"<p><b>{escape(s)}</b></p>" for s in sentences(runs)),
        section("Results", table_html(display_rows(runs)) + note(EXPLAINED)),
        section("Curves", "".join(picture(caption, fig) for caption, fig in curve_figures(runs))),
        section(
            "Asynchrony",
            "".join(picture(caption, fig) for caption, fig in asynchrony_figures(runs)),
        ),
        *[example_section(r) for r in runs if read_example(r)][-1:],
        section("The paper beside it", paper_section(runs)),
        section("Settings", settings_section(runs)),
        section("Failures", table_html(failure_rows(runs))),
        section(
            "How to reproduce", reproduce_section(runs, [r.record.get("command", "") for r in runs])
        ),
    ]
    return document(title, parts)


def curve_figures(runs: Sequence[Run]) -> list[tuple[str, object]]:
    """Held-out curves by audio seen, by update and, where time passes, by time; kinds of errors; fates of frames."""
    timed = any(r.record["settings"]["clock"] != "free" for r in runs)
    figures: list[tuple[str, object]] = [
        ("Held-out curves against audio seen", draw_curves(runs)),
        ("Held-out curves against updates", draw_curves(runs, against="updates")),
        *(
            [("Held-out curves against time", draw_curves(runs, against="seconds"))]
            if timed
            else []
        ),
        ("Kinds of word errors", draw_word_errors(runs)),
    ]
    return figures + [(f"Frames of {r.name}", draw_shares(r)) for r in runs if r.settings.sequence]


def asynchrony_figures(runs: Sequence[Run]) -> list[tuple[str, object]]:
    """Staleness of runs with several replicas or decoders, and how their processes spent time."""
    several = [r for r in runs if r.settings.asynchrony.replicas > 1 and ages(r.rows("push"))]
    figures: list[tuple[str, object]] = (
        [("Staleness of gradients", draw_staleness(several))] if several else []
    )
    timed = [r for r in several if r.settings.clock.kind != "free"]
    figures += [(f"How processes of {r.name} spent their time", draw_usage(r)) for r in timed]
    return figures + [(f"Queues of {r.name}", draw_queues(r)) for r in timed if r.settings.sequence]


def markdown(runs: Sequence[Run], title: str) -> str:
    """Results, verdicts, settings and commands as Markdown."""
    commands = "\n".join(f"    {r.record.get('command', '')}" for r in runs)
    parts = [
        f"# {plain(title)}",
        plain(question(runs)),
        *[plain(s) for s in sentences(runs)],
        table_markdown(display_rows(runs)),
        EXPLAINED,
    ]
    parts += [
        "## The paper beside it",
        table_markdown(paper_rows(runs)),
        "## Settings",
        table_markdown(setting_rows(runs)),
    ]
    parts += [
        "## Failures",
        table_markdown(failure_rows(runs)),
        "## How to reproduce",
        commands,
        versions(runs),
    ]
    return "\n\n".join(p for p in parts if p) + "\n"


def question(runs: Sequence[Run]) -> str:
    """What these runs were made to find out, as far as their settings tell."""
    known = [r.record["settings"] for r in runs]
    differ = [name for name in known[0] if len({str(k.get(name)) for k in known}) > 1]
    corpora = ", ".join(dict.fromkeys(r.record["corpus"]["name"] for r in runs))
    if not differ:
        return (
            f"What does training with these settings do to F_MMI and to word errors on {corpora}?"
        )
    varied = ", ".join(differ[:-1]) + " and " * (len(differ) > 1) + differ[-1]
    return f"What do {varied} do to F_MMI and to word errors on {corpora}? (Their settings differ in nothing else.)"


def sentences(runs: Sequence[Run]) -> list[str]:
    """What the test says of each run against the one it started from, in plain words."""
    by_name = {r.name: run_row(r) for r in runs}
    out = []
    for run in runs:
        parent = (run.record.get("parent") or {}).get("run")
        row, before = by_name[run.name], by_name.get(parent)
        if before and row["p_value"] is not None and before["test_wer"]:
            gain = (before["test_wer"] - row["test_wer"]) / before["test_wer"]
            words = verdict(row["p_value"], before["test_wer"], row["test_wer"])
            change = f"{100 * before['test_wer']:.1f} → {100 * row['test_wer']:.1f} % ({100 * gain:+.1f} % relative gain)"
            out.append(f"{run.name} against {parent}: test WER {change}, {words}.")
    return out


def example_section(run: Run) -> str:
    """One utterance looked at closely, if the run has one."""
    example = read_example(run)
    if example is None:
        return ""
    said = [
        {"": k, "words": v}
        for k, v in {"reference": example.reference, **example.hypotheses}.items()
    ]
    drawn = {
        "spectrogram and alignment": draw_spectrogram,
        "state occupancies": draw_occupancies,
        "lattice": draw_lattice,
    }
    pictures = "".join(
        picture(f"{caption} ({run.name})", draw(example)) for caption, draw in drawn.items()
    )
    return section(f"One utterance: {example.utterance}", table_html(said) + pictures)


def paper_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Table 1 of the paper, and each run here that started from another one that was tested too."""

    def row(who: str, ce: float, mmi: float) -> dict[str, str]:
        gain = f"{100 * (ce - mmi) / ce:.1f}" if ce else "–"
        return {
            "": who,
            "test WER % before": f"{ce:.1f}",
            "after": f"{mmi:.1f}",
            "relative gain %": gain,
        }

    table1 = read_json(PAPER)["table1"]
    rows = [
        row(f"paper, {k}, CE → MMI", v["ce"], v["mmi"])
        for k, v in table1.items()
        if isinstance(v, dict)
    ]
    by_name = {r.name: run_row(r) for r in runs}
    for run in runs:
        own, before = by_name[run.name], by_name.get((run.record.get("parent") or {}).get("run"))
        if before and own["test_wer"] is not None and before["test_wer"] is not None:
            rows.append(row(f"here, {run.name}", 100 * before["test_wer"], 100 * own["test_wer"]))
    return rows


def paper_section(runs: Sequence[Run]) -> str:
    """The paper's table and ours, with the place in the paper."""
    paper = read_json(PAPER)
    return table_html(paper_rows(runs)) + note(f"{paper['source']}, {paper['table1']['where']}.")


def setting_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Settings that differ from their defaults in any run."""
    default = Settings().to_dict()
    shown = [c for c in default if any(r.record["settings"].get(c) != default[c] for r in runs)]
    return [
        {"setting": c, **{r.name: str(r.record["settings"].get(c)) for r in runs}} for c in shown
    ]


def settings_section(runs: Sequence[Run]) -> str:
    """The same as a table."""
    return table_html(setting_rows(runs)) + note(
        "Settings that differ from their defaults in any run."
    )


def failure_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """How each run ended, and what it could not use."""
    rows = []
    for run in runs:
        status, reasons = run.status(), run.summary.get("set_aside") or {}
        aside = ", ".join(f"{k}: {v}" for k, v in reasons.items()) or "none"
        lost = str(sum(row["kind"] == "recovery" for row in run.iter_rows()))
        row = {"run": run.name, "state": status.state.value, "error": status.error}
        rows.append(row | {"recoveries after a loss": lost, "utterances set aside": aside})
    return rows


def versions(runs: Sequence[Run]) -> str:
    """Versions of everything that the numbers depend on, as the runs recorded them."""
    found = dict.fromkeys(
        ", ".join(f"{k} {v}" for k, v in r.record.get("versions", {}).items()) for r in runs
    )
    return "; ".join(found)


def reproduce_section(runs: Sequence[Run], commands: Sequence[str]) -> str:
    """The exact commands, and what they were run with."""
    return f"<pre>{escape(chr(10).join(c for c in commands if c))}</pre>" + note(versions(runs))
