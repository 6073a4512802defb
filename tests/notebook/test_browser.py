"""The panels in a browser, as one uses them: a run, a sweep, all of them in the dark and narrow.

One JupyterLab and one browser serve all tests. Each has a notebook of its own.
"""

from pathlib import Path

import pytest
from fake_runs import fake_run
from lab_page import LIVE_IMAGE, LabPage, wait_for, write_lab_notebook

from workbench.settings import Settings
from workbench.sweeping import Sweep
from workbench.sweeping.known_runs import run_name

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# --- a run: start it, watch, interrupt, reload, and write the report

PANEL_CELL = """import workbench.notebook as wb

panel = wb.run_panel(
    "c", "tiny", "live", epochs=900.0, evaluate_every=4.0, decays=10, patience=100
)
panel"""
SLOW_CELL = "import time\n\ntime.sleep(120)"


def stop_run(lab_page: LabPage) -> None:
    """Clicks Stop and waits until the run has come to rest."""
    lab_page.click("stop")
    lab_page.page.wait_for_selector("text=/live-[0-9a-f]+: (stopped|done)/")


def test_watch_interrupt_reload_report(lab_page: LabPage, lab_folder: Path) -> None:
    """
    1. After Start the picture changes; the panel keeps its height before, then and afterwards.
    2. Neither a slow cell nor its interruption stops the picture.
    3. Stop leaves a plain picture in the notebook, and Resume makes it live again.
    4. After a reload the picture keeps changing, Stop stops the run, Report writes the report.
    """
    write_lab_notebook(lab_folder / "notebooks/live.ipynb", [PANEL_CELL, SLOW_CELL])
    lab_page.open("live.ipynb")
    page = lab_page.page
    lab_page.run_cell(0)
    page.wait_for_selector("button.workbench-start")
    page.wait_for_selector(LIVE_IMAGE, state="attached")
    lab_page.watch_height()
    lab_page.click("start")
    lab_page.wait_for_frames(2)
    lab_page.screenshot("live")

    lab_page.run_cell(1)
    lab_page.wait_for_frames(1)
    lab_page.interrupt()
    lab_page.wait_for_frames(1)

    stop_run(lab_page)
    page.wait_for_selector(LIVE_IMAGE, state="detached")
    lab_page.screenshot("frozen")
    lab_page.click("resume")
    lab_page.wait_for_frames(2)
    lab_page.assert_height_was_constant(frames=100)

    lab_page.save()
    page.reload()
    page.wait_for_selector(LIVE_IMAGE)
    lab_page.wait_for_frames(1)
    lab_page.watch_height()
    stop_run(lab_page)
    lab_page.click("report")
    reports = lab_folder / "data/reports"
    wait_for(lambda: list(reports.glob("live-*.html")), "no report was written")
    lab_page.screenshot("report")
    lab_page.assert_height_was_constant(frames=20)


# --- a sweep: start it, see squares fill, and follow one to its runs

SWEEP_CELL = """import workbench.notebook as wb

wb.sweep_panel(
    "c", "tiny", "two", epochs=1.0, evaluate_every=0.25, hidden_units=16, evaluate_utterances=5
)"""

SQUARES = "button.workbench-square:not(.workbench-head)"
TEXTS = f"() => [...document.querySelectorAll('{SQUARES}')].map(each => each.innerText)"
ALL_HAVE_VALUES = f"""() => {{
    const squares = [...document.querySelectorAll('{SQUARES}')];
    return squares.length === 2 && squares.every(each => /[0-9]\\.[0-9]/.test(each.innerText))
}}"""
CHART = "img.workbench-live >> nth=-1"  # the picture below the matrix


def choose(lab_page: LabPage, field: str, choice: str) -> None:
    """Chooses an entry of the dropdown that is called ``field``."""
    menu = f".widget-dropdown:has(label:text-is('{field}')) select >> visible=true"
    lab_page.page.select_option(menu, label=choice)


def wait_for_another_chart(lab_page: LabPage, before: str | None) -> str | None:
    """Waits until the picture below the matrix is another one than ``before``."""
    chart = lab_page.page.locator(CHART)
    wait_for(lambda: chart.get_attribute("src") != before, "the picture has not changed")
    return chart.get_attribute("src")


def test_start_watch_click_compare(lab_page: LabPage, lab_folder: Path) -> None:
    """
    1. After Start the squares fill, one after the other, in a page that nobody reloads.
    2. A click on a square shows its cell in the table, with its run, and no other.
    3. A report on the runs of the square is one click away.
    4. Other columns that are compared are another picture.
    5. Of a finished sweep nothing can be stopped or resumed.
    """
    write_lab_notebook(lab_folder / "notebooks/sweep.ipynb", [SWEEP_CELL])
    lab_page.open("sweep.ipynb")
    page = lab_page.page
    lab_page.run_cell(0)
    page.wait_for_selector("button.workbench-start")
    lab_page.screenshot("sweep-before")
    lab_page.click("start")
    page.wait_for_selector(SQUARES)
    wait_for(lambda: page.evaluate(TEXTS) == ["missing", "missing"], "no empty squares")
    page.wait_for_selector("text=/starting 2 runs/")
    lab_page.screenshot("sweep-started")

    wait_for(lambda: page.evaluate(TEXTS) != ["missing", "missing"], "no square has changed")
    page.wait_for_selector("text=/starting 2 runs/", state="detached")
    assert page.locator("button.workbench-start").is_disabled()
    assert page.locator("button.workbench-resume").is_disabled()
    lab_page.screenshot("sweep-under-way")
    page.wait_for_function(ALL_HAVE_VALUES)
    page.wait_for_selector("text=/two: 2 done/")
    lab_page.screenshot("sweep-done")

    runs = sorted(path.name for path in (lab_folder / "data/runs").iterdir())
    page.wait_for_selector(LIVE_IMAGE, state="detached")  # nobody follows the sweep any more
    page.locator(SQUARES).first.click()
    page.wait_for_selector("text=Curves of the chosen squares")
    chosen = page.locator(CHART).get_attribute("src")
    cells = page.locator("td", has_text="two-")
    wait_for(lambda: len(set(runs) & set(cells.all_inner_texts())) == 1, "not one run is named")
    lab_page.screenshot("sweep-square")

    lab_page.click("report-on-these-runs")
    page.wait_for_selector("a:has-text('.html')")
    assert list((lab_folder / "data/reports").glob("two-*.html"))

    page.locator("button.workbench-head").first.click()
    page.wait_for_selector("text=/2 +(runs|rows)|Curves of the chosen squares/")
    lab_page.wait_until_idle()
    page.click("button:has-text('any column against any')")
    lab_page.wait_until_idle()
    columns = wait_for_another_chart(lab_page, chosen)
    choose(lab_page, "up", "frame error (%)")
    wait_for_another_chart(lab_page, columns)
    lab_page.wait_until_idle()
    lab_page.screenshot("sweep-columns")

    for name in ("stop-after-current", "cancel", "resume", "retry-failed"):
        assert page.locator(f"button.workbench-{name}").is_disabled()


# --- all panels with the dark theme and in a narrow window: what they say can be read

CELLS = [
    "import workbench.notebook as wb\n\nwb.sweep_panel('c', 'tiny', 's')",
    "wb.run_panel('c', 'tiny', 'x')",
    "wb.runs_panel()",
    "wb.compare_panel('ce', 'mmi')",
]
IN_THE_DARK = "body[data-jp-theme-light='false']"

READABLE = 4.5  # contrast of text to its background, as the WCAG want it at least
# Each visible text of the panel that is in use, and its contrast to the colour behind it.
CONTRASTS = """() => {
    const part = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const numbers = text => text.match(/[0-9.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
    const behind = element => {
        for (let each = element; each; each = each.parentElement) {
            const colour = numbers(getComputedStyle(each).backgroundColor);
            if (colour.length === 3 || colour[3] > 0.99) return colour;
        }
        return [255, 255, 255];
    };
    const found = [];
    for (const each of document.querySelectorAll('.jp-OutputArea *')) {
        const own = [...each.childNodes].some(
            node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
        if (!own || !each.offsetParent || each.closest(':disabled')) continue;
        const [a, b] = [numbers(getComputedStyle(each).color), behind(each)].map(light);
        found.push([each.textContent.trim(), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
    }
    return found;
}"""


# Each control that reaches over the right edge of its cell; the matrix scrolls.
OUTSIDE = """() => {
    const found = [];
    for (const each of document.querySelectorAll(
            '.jp-OutputArea :is(button:not(.workbench-square), input, select, textarea)')) {
        const edge = each.closest('.jp-OutputArea').getBoundingClientRect().right;
        const box = each.getBoundingClientRect();
        if (box.width && box.right > edge + 4)  // a margin may reach over it
            found.push(each.title || each.placeholder || each.innerText || each.outerHTML);
    }
    return found;
}"""
PHONE_WIDTH = 390  # pixels


def make_runs() -> None:
    """Leaves a sweep of which a cell failed and one is missing, and two runs to compare."""
    sweep = Sweep("s", "c", preset="tiny", axes={"batch": [8, 16, 32]}).save()
    done, failed, _ = sweep.cells()
    fake_run(f"{run_name(sweep, done)}-0", done.settings)
    broken = "UserError: too few utterances"
    fake_run(f"{run_name(sweep, failed)}-0", failed.settings, state="failed", error=broken)
    settings = Settings.of(replicas=3, clock="cost")
    fake_run("ce-0", settings, wrong=3)
    fake_run("mmi-0", settings.replace(criterion="mmi", batch=32), wrong=2, parent="ce-0")


def test_all_is_read_in_the_dark_and_on_a_phone(lab_page: LabPage, lab_folder: Path) -> None:
    """Of all panels, with a chosen square and what a button has said. In a window of a phone's
    width no button and no field runs over the edge.
    """
    make_runs()
    write_lab_notebook(lab_folder / "notebooks/dark.ipynb", CELLS)
    lab_page.open("dark.ipynb")
    page = lab_page.page
    for number in range(len(CELLS)):
        lab_page.run_cell(number)
        lab_page.wait_until_idle()
    page.locator("button.workbench-square:not(.workbench-head)").first.click()
    lab_page.click("copy-as-python")
    lab_page.execute("apputils:change-theme", theme="JupyterLab Dark")
    page.wait_for_selector(IN_THE_DARK, state="attached")
    lab_page.wait_until_idle()
    lab_page.screenshot("dark")
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > 60
    assert {text: round(ratio, 1) for text, ratio in texts if ratio < READABLE} == {}

    lab_page.execute("application:toggle-left-area")
    page.set_viewport_size({"width": PHONE_WIDTH, "height": 1900})
    lab_page.wait_until_idle()
    lab_page.screenshot("phone")
    assert page.evaluate(OUTSIDE) == []
