"""The report: one HTML file that opens without network and prints well, with Markdown and CSV beside it."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from workbench.metrics.significance import verdict
from workbench.settings import Settings
from workbench.store import Run, home, write_atomically
from workbench.views.curves import draw_curves, draw_shares, draw_word_errors
from workbench.views.example import draw_lattice, draw_occupancies, draw_spectrogram, read_example
from workbench.views.style import data_uri
from workbench.views.tables import display_rows, run_frame, run_row

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.25rem .7rem;border-bottom:1px solid #e5e5e5;text-align:right}
td:first-child,th:first-child{text-align:left}img{max-width:100%}code,pre{background:#f5f5f5;padding:.1rem .3rem}
pre{overflow:auto;padding:.6rem}figcaption,.note{color:#555;font-size:.9rem}figure{margin:1rem 0}
@media print{body{margin:0;max-width:none}h2,figure,table{break-inside:avoid}}
"""


def write_report(runs: Sequence[Run], out: Path | None = None, title: str | None = None) -> Path:
    """Write the report on ``runs`` (HTML, and .md and .csv of its table beside it); returns the HTML file."""
    out = out or home() / "reports" / f"{runs[0].name}.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    title = title or "Asynchronous sequence training: " + ", ".join(r.record["corpus"]["name"] for r in runs[:1])
    write_atomically(out, page(runs, title).encode())
    write_atomically(out.with_suffix(".md"), markdown(runs, title).encode())
    write_atomically(out.with_suffix(".csv"), run_frame(runs).to_csv(index=False).encode())
    return out


def page(runs: Sequence[Run], title: str) -> str:
    """The whole page; every text that comes from data is escaped, every picture is inside."""
    parts = [f"<h1>{escape(title)}</h1>", _verdicts(runs), _section("Results", table_html(display_rows(runs)) + _NOTE)]
    figures = [("Held-out curves against audio seen", draw_curves(runs)), ("Kinds of word errors", draw_word_errors(runs))]
    figures += [("Held-out curves against updates", draw_curves(runs, against="updates"))]
    if any(r.record["settings"]["clock"] != "free" for r in runs):
        figures += [("Held-out curves against time", draw_curves(runs, against="seconds"))]
    sequence = [r for r in runs if r.settings.sequence]
    figures += [(f"Frames of {r.name}", draw_shares(r)) for r in sequence]
    parts.append(_section("Curves", "".join(_figure(caption, fig) for caption, fig in figures)))
    parts += [_example(r) for r in runs if read_example(r)][-1:]
    parts += [_section("The paper beside it", _paper(runs)), _section("Settings", _settings(runs)), _section("Failures", _failures(runs)),
              _section("How to reproduce", _reproduce(runs))]  # fmt: skip
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>' + "".join(parts)


_NOTE = '<p class="note">F_MMI: held-out, per frame, natural logarithm. WER: held-out with the unigram; test WER with the n-gram and '\
        "its 95 % bootstrap interval; p: paired bootstrap against the run that it started from.</p>"  # fmt: skip


def table_html(rows: Sequence[dict[str, str]]) -> str:
    """Rows of text cells as a table."""
    head = "".join(f"<th>{escape(c)}</th>" for c in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{escape(v)}</td>" for v in r.values()) + "</tr>" for r in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def markdown(runs: Sequence[Run], title: str) -> str:
    """The result table as Markdown, with the verdicts."""
    rows = display_rows(runs)
    lines = [f"# {title}", "", " | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    lines += [" | ".join(r.values()) for r in rows]
    return "\n".join([*lines, "", *sentences(runs)]) + "\n"


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
            out.append(f"{run.name} against {parent}: test WER {100 * before['test_wer']:.1f} → {100 * row['test_wer']:.1f} % "
                       f"({100 * gain:+.1f} % relative gain), {words}.")  # fmt: skip
    return out


def _verdicts(runs: Sequence[Run]) -> str:
    return "".join(f"<p><b>{escape(s)}</b></p>" for s in sentences(runs))


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


def _figure(caption: str, fig) -> str:
    return f'<figure><img alt="{escape(caption)}" src="{data_uri(fig)}"><figcaption>{escape(caption)}</figcaption></figure>'


def _example(run: Run) -> str:
    example = read_example(run)
    said = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in
                   {"reference": example.reference, **example.hypotheses}.items())  # fmt: skip
    pictures = (("spectrogram and alignment", draw_spectrogram), ("state occupancies", draw_occupancies), ("lattice", draw_lattice))
    return _section(
        f"One utterance: {example.utterance}",
        f"<table>{said}</table>" + "".join(_figure(f"{c} ({run.name})", draw(example)) for c, draw in pictures),
    )


def _paper(runs: Sequence[Run]) -> str:
    path = Path(__file__).resolve().parents[2] / "data" / "paper" / "heigold2014.json"
    if not path.exists():
        return ""
    paper = json.loads(path.read_text())
    table = [{"": f"paper, {k}", "CE test WER %": f"{v['ce']}", "MMI test WER %": f"{v['mmi']}",
              "relative gain %": f"{100 * (v['ce'] - v['mmi']) / v['ce']:.1f}"}
             for k, v in paper["table1"].items() if isinstance(v, dict)]  # fmt: skip
    by_name = {r.name: run_row(r) for r in runs}
    for run in runs:
        row, before = by_name[run.name], by_name.get((run.record.get("parent") or {}).get("run"))
        if before and row["test_wer"] is not None and before["test_wer"]:
            ce, mmi = before["test_wer"], row["test_wer"]
            table.append({"": f"here, {run.name}", "CE test WER %": f"{100 * ce:.1f}", "MMI test WER %": f"{100 * mmi:.1f}",
                          "relative gain %": f"{100 * (ce - mmi) / ce:.1f}"})  # fmt: skip
    return table_html(table) + f'<p class="note">{escape(paper["source"])}, {escape(paper["table1"]["where"])}.</p>'


def _settings(runs: Sequence[Run]) -> str:
    default = Settings().to_dict()
    shown = [c for c in default if any(r.record["settings"].get(c) != default[c] for r in runs)]
    rows = [{"setting": c, **{r.name: str(r.record["settings"].get(c)) for r in runs}} for c in shown]
    return table_html(rows) + '<p class="note">Settings that differ from their defaults in any run.</p>' if rows else ""


def _failures(runs: Sequence[Run]) -> str:
    rows = []
    for run in runs:
        status = run.status()
        reasons = run.summary.get("set_aside") or {}
        aside = ", ".join(f"{k}: {v}" for k, v in reasons.items()) or "none"
        rows.append({"run": run.name, "state": status["state"], "error": status.get("error", ""), "utterances set aside": aside})
    return table_html(rows)


def _reproduce(runs: Sequence[Run]) -> str:
    commands = "\n".join(r.record.get("command", "") for r in runs)
    versions = runs[0].record.get("versions", {})
    return f"<pre>{escape(commands)}</pre><p class='note'>" + escape(", ".join(f"{k} {v}" for k, v in versions.items())) + "</p>"
