"""Reports: complete, safe against what data may contain, and whole without a network."""

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import fake_run, leave_example
from notebook_files import read_notebook

from workbench.cli import train
from workbench.cli.main import command_parser
from workbench.docs.screenshots import READERS, chromium_program, take_screenshots
from workbench.reports.page import table_markdown
from workbench.reports.report import markdown, question, write_report
from workbench.reports.sweep_report import sweep_document, write_sweep_report
from workbench.runs.record import train_command
from workbench.settings import Settings, preset
from workbench.storage.run import Run
from workbench.sweeping import Sweep, plan_cells, read_results
from workbench.sweeping.known_runs import run_name

pytestmark = pytest.mark.usefixtures("data_folder")
READABLE = 4.5  # contrast of text to its background, as the WCAG want it at least
FITS = "document.documentElement.scrollWidth <= window.innerWidth"
CONTRAST = """() => {
  const part = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = text => {
    const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map(part);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = light(getComputedStyle(document.body).backgroundColor);
  const shown = [...document.querySelectorAll("h1, p, td, a, figcaption")];
  const ratios = shown.map(e => light(getComputedStyle(e).color)).map(
    text => (Math.max(text, page) + 0.05) / (Math.min(text, page) + 0.05));
  return Math.min(...ratios);
}"""
PAYLOAD = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def cross_entropy_and_mmi() -> list[Run]:
    """Returns a run of cross entropy and the run of MMI that started from it."""
    settings = Settings.of(replicas=3, clock="cost")
    ce = fake_run("ce", settings, wrong=3)
    mmi = fake_run("mmi", settings.replace(criterion="mmi", batch=32), wrong=2, parent="ce")
    return [ce, mmi]


def finished_sweep() -> Sweep:
    """Returns a sweep of two shuffling modes and two seeds, of which one run diverged."""
    sweep = Sweep(
        "e",
        "c",
        preset="tiny",
        axes={"shuffling": ["none", "full"]},
        seeds=[0, 1],
        question="Does it matter?",
        paper="shuffling",
    ).save()
    for number, planned in enumerate(plan_cells(sweep)):
        name = f"{run_name(sweep, planned.cell)}-0"
        settings = planned.cell.settings
        if number == 3:
            fake_run(name, settings, state="diverged", error="not finite", wrong=4)
        else:
            fake_run(name, settings, wrong=number + 1)

    return sweep


@pytest.mark.slow
def test_report_has_every_part() -> None:
    """Verdicts, tables, pictures, versions and commands are there; every form is read back."""
    runs = cross_entropy_and_mmi()
    out = write_report(runs, title="Title")
    html = out.read_text()
    parts = (
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
        "undecided (p = 0.21)",
        "% fewer errors)",
        "relative gain",
    )

    for part in parts:
        assert part in html, part

    assert html.count("<img ") == html.count('src="data:image/png;base64,') >= 6
    assert len(pd.read_csv(out.with_suffix(".csv"))) == 2
    assert read_notebook(out.with_suffix(".ipynb")).cells
    assert out.with_suffix(".md").read_text() == markdown(runs, "Title")


@pytest.mark.slow
def test_sweep_report_has_every_part() -> None:
    """Question, intervals, verdicts, the paper's numbers, failures, command are there."""
    out = write_sweep_report(read_results(finished_sweep()))
    html = out.read_text()
    parts = (
        "Does it matter?",
        "shuffling=none",
        "Verdicts",
        "Effect of each factor",
        "15.2",
        "diverged",
        "not finite",
        "workbench sweep c --name e --preset tiny --axis shuffling=none,full --seeds 0,1",
    )

    for part in parts:
        assert part in html, part

    assert len(pd.read_csv(out.with_suffix(".csv"))) == 4
    assert read_notebook(out.with_suffix(".ipynb")).cells


def test_a_sweep_that_has_not_begun_is_reported() -> None:
    """A report of missing runs states that they are missing."""
    missing = Sweep("n", "c", preset="tiny", axes={"batch": [8, 16]})
    assert "2 missing" in sweep_document(read_results(missing), "Sweep").html()


@pytest.mark.slow
def test_tables_have_as_many_cells_as_titles() -> None:
    """Every row of every table has one cell per title, also rows of different failures."""
    page = sweep_document(read_results(finished_sweep()), "Sweep").html()
    tables = re.findall("<table>.*?</table>", page, re.DOTALL)
    assert len(tables) >= 5

    for table in tables:
        titles = table.count("<th ")
        rows = re.findall("<tr>(?:(?!</tr>).)*<td.*?</tr>", table, re.DOTALL)
        assert rows
        assert {row.count("<td") for row in rows} == {titles}


@pytest.mark.slow
def test_text_of_data_stays_text() -> None:
    """Markup in transcripts, errors and titles is shown and never interpreted, in every form."""
    runs = cross_entropy_and_mmi()
    leave_example(runs[1], PAYLOAD)
    status = json.loads((runs[0].folder / "status.json").read_text())
    (runs[0].folder / "status.json").write_text(json.dumps({**status, "error": PAYLOAD}))
    out = write_report(runs, title=PAYLOAD)

    for suffix in (".html", ".md", ".ipynb"):
        text = out.with_suffix(suffix).read_text()
        assert "<img src=x" not in text
        assert "<script" not in text
    assert "&lt;script&gt;" in out.read_text()


def test_markdown_tables_show_bars_and_markup_as_text() -> None:
    """Bars, backquotes, markup and line breaks in cells do not change the table."""
    lines = table_markdown([{"a|b": "x|y `z`", "c": "<b>\n1"}]).splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert cells[0] == ["a\\|b", "c"]
    assert cells[2] == ["x\\|y \\`z\\`", "&lt;b&gt; 1"]
    assert table_markdown([]) == ""


@pytest.mark.browser
def test_report_opens_without_network(data_folder: Path) -> None:
    """A browser without network shows every picture, requests nothing and runs no script."""
    from playwright.sync_api import Route, sync_playwright

    runs = cross_entropy_and_mmi()
    leave_example(runs[1], PAYLOAD)
    files = [
        write_report(runs, title="A " + PAYLOAD),
        write_sweep_report(read_results(finished_sweep())),
    ]
    asked: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.url.startswith("file:"):
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    chromium = chromium_program()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/*", refuse)
        for file in files:
            page.goto(file.as_uri())
            widths = page.evaluate("[...document.images].map(i => i.complete ? i.naturalWidth : 0)")
            assert len(widths) >= 5
            assert min(widths) > 200
            assert page.title() != "owned"
            for reader in READERS:
                page.set_viewport_size({"width": reader.width, "height": reader.height})
                page.emulate_media(media=reader.media, color_scheme=reader.scheme)
                assert page.evaluate(FITS), reader
                assert page.evaluate(CONTRAST) >= READABLE, reader
        page.pdf(path=str(data_folder / "print.pdf"))
        page.screenshot(path=str(data_folder / "report.png"), full_page=True)
        browser.close()

    assert asked == []
    shots = take_screenshots(files[0], data_folder / "shots")
    assert [path.name for path in shots] == [f"{files[0].stem}-{r.name}.png" for r in READERS]
    assert (data_folder / "print.pdf").stat().st_size > 10_000


@pytest.mark.parametrize("clock", ["wall", "cost", None])
def test_the_command_makes_the_same_run(clock: str | None) -> None:
    """The command that a report prints parses to the settings, names and cluster of the run."""
    settings = Settings()
    if clock:
        settings = preset(
            "tiny", criterion="mmi", replicas=3, learning_rate=0.0123, batch=7, clock=clock
        )
    cluster = "tcp://there:8786" if clock == "wall" else None

    words = shlex.split(train_command("c", settings, "it's", "ce", None, cluster))
    parsed = command_parser("train", train).parse_args(words[2:])
    options = train.Options(**vars(parsed))
    found = options.settings
    if cluster:
        found = found.replace(clock="wall")
    assert found == settings
    assert options.corpus == "c"
    assert options.name == "it's"
    assert options.init == "ce"
    assert options.cluster == cluster


def test_the_question_names_what_differs() -> None:
    """A report begins with a question about the settings that differ between its runs."""
    runs = [fake_run(f"r{n}", Settings.of(replicas=n, batch=n)) for n in (1, 2)]
    assert question(runs).startswith("What do batch and replicas do to F_MMI and to word errors on")
    assert question(runs[:1]).startswith("What does training with these settings do")
