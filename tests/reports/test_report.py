"""Reports: complete, honest, safe against what data may contain, and whole without a network."""

import json
import shlex
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run

from workbench.cli import train
from workbench.cli.main import command_parser
from workbench.reports.report import markdown, question, write_report
from workbench.reports.sweep_report import sweep_page, write_sweep_report
from workbench.runs.train import command
from workbench.settings import Settings, preset
from workbench.storage.run import Run
from workbench.sweeping import Sweep, plan, results
from workbench.sweeping.plan import run_name

PAYLOAD = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for every test."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


def pair() -> list[Run]:
    """A run of cross entropy and the run of MMI that started from it."""
    settings = Settings.of(replicas=3, clock="cost")
    before = fake_run("ce", settings, wrong=3)
    return [
        before,
        fake_run("mmi", settings.replace(criterion="mmi", batch=32), wrong=2, parent="ce"),
    ]


def leave_example(run: Run, words: str) -> None:
    """An utterance looked at closely, whose transcripts hold ``words``."""
    gamma = np.full((20, 3), 0.5)
    np.savez(
        run.folder / "example.npz",
        features=np.zeros((20, 40), np.float32),
        states=np.arange(3),
        numerator=gamma,
        denominator=gamma,
        fate=np.arange(20) % 3,
    )
    text = {
        "utterance": words,
        "reference": words,
        "hypotheses": {run.name: words},
        "words": [(words, 0, 9)],
        "phones": [("SIL", 0, 9)],
    }
    (run.folder / "example.json").write_text(json.dumps({**text, "labels": [(words, 0, 9, 0.9)]}))


def finished_sweep() -> Sweep:
    """Two shuffling modes and two seeds, one run of them diverged."""
    axes = {"shuffling": ["none", "full"]}
    sweep = Sweep(
        "e",
        "c",
        preset="tiny",
        axes=axes,
        seeds=[0, 1],
        question="Does it matter?",
        paper="shuffling",
    ).save()
    for i, c in enumerate(plan(sweep)):
        state = "diverged" if i == 3 else "done"
        fake_run(
            f"{run_name(sweep, c.cell)}-0",
            c.cell.settings,
            state=state,
            error="not finite" if i == 3 else "",
            wrong=i + 1,
        )
    return sweep


def test_report_has_every_part() -> None:
    """Verdicts, table, curves, the paper, settings, failures, versions, commands: in every form, and all read back."""
    out = write_report(pair(), title="Title")
    html = out.read_text()
    for part in (
        "Results",
        "Curves",
        "Asynchrony",
        "The paper beside it",
        "13.0",
        "Settings",
        "Failures",
        "no path: 1",
        "workbench train c --name mmi",
        "python 3.11",
        "not significant (p = 0.20)",
        "relative gain",
    ):
        assert part in html, part
    assert len(pd.read_csv(out.with_suffix(".csv"))) == 2
    nbformat.validate(nbformat.read(out.with_suffix(".ipynb"), 4))
    assert out.with_suffix(".md").read_text() == markdown(pair(), "Title")
    assert html.count("<img ") == html.count('src="data:image/png;base64,') >= 6


def test_sweep_report_has_every_part() -> None:
    """Question, intervals, significance, effects with the paper's numbers, failures and the exact command are there."""
    sweep = finished_sweep()
    out = write_sweep_report(results(sweep))
    html = out.read_text()
    for part in (
        "Does it matter?",
        "shuffling=none",
        "Significance",
        "Effect of each factor",
        "15.2",
        "diverged",
        "not finite",
        "workbench sweep c --name e --preset tiny --axis shuffling=none,full --seeds 0,1",
    ):
        assert part in html, part
    assert len(pd.read_csv(out.with_suffix(".csv"))) == 4
    nbformat.validate(nbformat.read(out.with_suffix(".ipynb"), 4))


def test_a_sweep_that_has_not_begun_is_reported() -> None:
    """A report of missing runs says that they are missing."""
    html = sweep_page(results(Sweep("n", "c", preset="tiny", axes={"batch": [8, 16]})), "Sweep")
    assert "2 missing" in html


def test_text_of_data_stays_text() -> None:
    """Markup in transcripts, names, errors and titles is shown, never interpreted; in every form of the report."""
    runs = pair()
    leave_example(runs[1], PAYLOAD)
    status = json.loads((runs[0].folder / "status.json").read_text())
    (runs[0].folder / "status.json").write_text(json.dumps({**status, "error": PAYLOAD}))
    out = write_report(runs, title=PAYLOAD)
    for text in (
        out.read_text(),
        out.with_suffix(".md").read_text(),
        out.with_suffix(".ipynb").read_text(),
    ):
        assert "<img src=x" not in text and "<script" not in text
    assert "&lt;script&gt;" in out.read_text()


@pytest.mark.browser
def test_report_opens_without_network(data: Path) -> None:
    """In a browser that may request nothing, every picture is there, nothing is asked for and no script has run."""
    from playwright.sync_api import sync_playwright

    runs = pair()
    leave_example(runs[1], PAYLOAD)
    files = [
        write_report(runs, title="A " + PAYLOAD),
        write_sweep_report(results(finished_sweep())),
    ]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []

        def refuse(route):
            if route.request.url.startswith("file:"):
                return route.continue_()
            asked.append(route.request.url)
            return route.abort()

        page.route("**/*", refuse)
        for file in files:
            page.goto(file.as_uri())
            widths = page.evaluate("[...document.images].map(i => i.complete ? i.naturalWidth : 0)")
            assert len(widths) >= 5 and min(widths) > 200
            assert page.title() != "owned"
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.pdf(path=str(data / "print.pdf"))
        page.screenshot(path=str(data / "report.png"), full_page=True)
        browser.close()
    assert asked == [] and (data / "print.pdf").stat().st_size > 10_000


def test_the_command_makes_the_same_run() -> None:
    """Said to the command line, what the report prints gives the settings that the run had."""
    wanted = preset(
        "tiny", criterion="mmi", replicas=3, learning_rate=0.0123, batch=7, clock="wall"
    )
    for settings, cluster in (
        (wanted, "tcp://there:8786"),
        (wanted.replace(clock="cost"), None),
        (Settings(), None),
    ):
        words = shlex.split(command("c", settings, "it's", "ce", None, cluster))
        args = train.Options(**vars(command_parser("train", train).parse_args(words[2:])))
        found = args.settings
        assert (found if cluster is None else found.replace(clock="wall")) == settings
        assert (args.corpus, args.name, args.init, args.cluster) == ("c", "it's", "ce", cluster)


def test_the_question_names_what_differs() -> None:
    """A report begins with what its runs were made to find out."""
    runs = [fake_run(f"r{n}", Settings.of(replicas=n, batch=n)) for n in (1, 2)]
    assert question(runs).startswith("What do batch and replicas do to F_MMI and to word errors on")
    assert question(runs[:1]).startswith("What does training with these settings do")
