"""The report on a sweep: its question, results, intervals, significance, curves, effects, failures, how to redo it."""

from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.figures.curves import draw_bands
from workbench.figures.staleness import ages, draw_staleness
from workbench.figures.sweep_matrix import draw_matrix, scale
from workbench.figures.sweep_plots import PAPER, draw_effects, draw_scatter
from workbench.reports.page import (
    document,
    note,
    picture,
    plain,
    section,
    table_html,
    table_markdown,
)
from workbench.reports.report import failure_rows, reproduce_section, versions, write_files
from workbench.reports.report_notebook import notebook_of_sweep
from workbench.storage.run import home, read_json
from workbench.sweeping.plan import counts
from workbench.sweeping.results import Results, sentences
from workbench.sweeping.spec import Sweep

SHOWN = {
    "heldout_mmi": "F_MMI",
    "heldout_wer": "WER %",
    "frame_error": "frame err %",
    "test_wer": "test WER %",
}
DIFFERENCE = ("difference", "low", "high")
EXPLAINED = (
    "Means over seeds; brackets: Student's 95 % interval over seeds, absent for a single one. p: paired bootstrap over "
    "the test utterances, errors of common seeds added up; it knows of the luck of the utterances, not of the seeds."
)


def write_sweep_report(found: Results, out: Path | None = None, title: str | None = None) -> Path:
    """Write the report on a sweep (HTML, and .md, .csv and .ipynb beside it); returns the HTML file."""
    sweep = found.sweep
    out, title = out or home() / "reports" / f"{sweep.name}.html", title or f"Sweep {sweep.name}"
    notebook = notebook_of_sweep(sweep.name, title, axes_of(found))
    files = {".html": sweep_page(found, title), ".md": sweep_markdown(found, title)}
    return write_files(out, files | {".csv": found.table.to_csv(index=False), ".ipynb": notebook})


def axes_of(found: Results) -> list[str]:
    """The settings that really differ, or any one if there is a single cell."""
    return varied_axes(found.sweep, found.table)


def varied_axes(sweep: Sweep, table: pd.DataFrame) -> list[str]:
    """The same, of a table of cells."""
    varied = [a for a in sweep.varied if table[a].nunique() > 1]
    return varied or list(sweep.varied[:1]) or ["seed"]


def sweep_page(found: Results, title: str) -> str:
    """The whole page."""
    runs = [r for group in found.runs.values() for r in group]
    parts = [
        f"<p>{escape(found.sweep.question)}</p>" if found.sweep.question else "",
        "".join(f"<p><b>{escape(s)}</b></p>" for s in sentences(found)),
        section("Results", table_html(group_rows(found)) + note(EXPLAINED)),
        section("Significance", table_html(significance_rows(found))),
        section(
            "All runs",
            picture(
                "Held-out word error rate of each setting", draw_matrix(found.table, axes_of(found))
            ),
        ),
        section("Curves", curve_section(found)),
        section("Effect of each factor", effect_section(found)),
        section(
            "Frame error against word error",
            picture("From hollow to full mark", draw_scatter(found.runs)),
        ),
        section("The paper", paper_section(found.sweep.paper)),
        section("Settings", table_html(shared_rows(found))),
        section("Failures", table_html(failures(found))),
        section(
            "How to reproduce",
            reproduce_section(runs, [found.sweep.command(), "", found.sweep.as_python()]),
        ),
    ]
    return document(title, parts)


def sweep_markdown(found: Results, title: str) -> str:
    """Results, verdicts, settings and command as Markdown."""
    python = "".join(f"    {line}\n" for line in found.sweep.as_python().splitlines())
    runs = [r for group in found.runs.values() for r in group]
    parts = [
        f"# {plain(title)}",
        plain(found.sweep.question),
        table_markdown(group_rows(found)),
        EXPLAINED,
    ]
    parts += [plain(s) for s in sentences(found)] + [
        "## Significance",
        table_markdown(significance_rows(found)),
    ]
    parts += ["## Failures", table_markdown(failures(found)) or "None.", "## How to reproduce"]
    parts += [f"    {found.sweep.command()}", python.rstrip(), versions(runs)]
    return "\n\n".join(p for p in parts if p) + "\n"


def group_rows(found: Results) -> list[dict[str, str]]:
    """One row per setting, seeds taken together."""
    rows = []
    for row in found.groups.to_dict("records"):
        shown = {"setting": row["label"], "runs": str(row["n"]), "diverged": str(row["diverged"])}
        rows.append(shown | {title: interval(row, measure) for measure, title in SHOWN.items()})
    return rows


def interval(row: dict[str, Any], measure: str) -> str:
    """``12.3 [11.9, 12.7]``; a dash where nothing was measured."""
    mean, low, high = (scale(measure) * row[f"{measure}{end}"] for end in ("", "_low", "_high"))
    digits = ".4f" if measure == "heldout_mmi" else ".1f"
    if pd.isna(mean):
        return "–"
    return f"{mean:{digits}}" + ("" if pd.isna(low) else f" [{low:{digits}}, {high:{digits}}]")


def significance_rows(found: Results) -> list[dict[str, str]]:
    """Each setting against the baseline, in words."""
    return [
        {"setting": r["label"], "against": r["against"], "seeds": str(r["seeds"])}
        | {
            "difference of test WER, % absolute": "{:+.2f} [{:+.2f}, {:+.2f}]".format(
                *(100 * r[c] for c in DIFFERENCE)
            )
        }
        | {"verdict": r["verdict"]}
        for r in found.significance.to_dict("records")
    ]


def curve_section(found: Results) -> str:
    """Held-out curves by audio seen, update and time, and staleness where there are several replicas."""
    views = {"audio seen": "epochs", "updates": "updates", "time": "seconds"}
    if all(c.cell.settings.clock.kind == "free" for c in found.cells):
        del views["time"]
    body = "".join(
        picture(f"Against {k}", draw_bands(found.runs, against=v)) for k, v in views.items()
    )  # type: ignore[arg-type]
    first = [
        runs[0]
        for runs in found.runs.values()
        if runs[0].settings.asynchrony.replicas > 1 and ages(runs[0].rows("push"))
    ]
    return body + (
        picture("Staleness, first seed of each setting", draw_staleness(first)) if first else ""
    )


def effect_section(found: Results) -> str:
    """Effects on test WER, or on held-out WER where nothing was tested."""
    measure = "test_wer" if found.table.test_wer.notna().any() else "heldout_wer"
    if not found.table[measure].notna().any():
        return ""
    fig = draw_effects(found.table, axes_of(found), measure, found.sweep.paper)
    return picture("Mean over all runs with that value, and its interval", fig)


def paper_section(entry: str) -> str:
    """What the paper says of it, with its place."""
    paper = read_json(PAPER)
    if entry not in paper:
        return ""
    rows = [{"": k.replace("_", " "), "paper": str(v)} for k, v in paper[entry].items()]
    return table_html(rows) + note(paper["source"])


def shared_rows(found: Results) -> list[dict[str, str]]:
    """What all cells share."""
    sweep = found.sweep
    about = {
        "corpus": sweep.corpus,
        "preset": sweep.preset,
        "init": sweep.init or "none",
        **sweep.settings,
    }
    return [{"setting": k, "value": str(v)} for k, v in about.items()]


def failures(found: Results) -> list[dict[str, str]]:
    """Every cell that has not ended well, and what finished runs could not use."""
    rows = [
        {
            "run": f"{c.cell.label}, seed {c.cell.seed}",
            "state": c.state,
            "error": c.error,
            "set aside": "",
        }
        for c in found.cells
        if c.state != "done"
    ]
    ended = [
        c.run for c in found.cells if c.state == "done" and c.run and c.run.summary.get("set_aside")
    ]
    states = {
        "run": ", ".join(f"{n} {s}" for s, n in counts(found.cells).items()),
        "state": "",
        "error": "",
        "set aside": "",
    }
    return [states, *rows, *failure_rows(ended)]
