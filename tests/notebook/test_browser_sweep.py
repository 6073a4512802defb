"""The sweep panel in a browser: start a sweep, see squares fill, and follow one to its runs."""

from pathlib import Path

import pytest
from lab_page import LabPage, wait_for, write_lab_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PANEL_CELL = """import workbench.notebook as wb

wb.sweep_panel(
    "c", "tiny", "s", epochs=1.0, evaluate_every=0.25, hidden_units=16, evaluate_utterances=5
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
    write_lab_notebook(lab_folder / "notebooks/sweep.ipynb", [PANEL_CELL])
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
    page.wait_for_selector("text=/s: 2 done/")
    lab_page.screenshot("sweep-done")

    runs = sorted(path.name for path in (lab_folder / "data/runs").iterdir())
    before = page.locator(CHART).get_attribute("src")
    page.locator(SQUARES).first.click()
    page.wait_for_selector("text=Curves of the chosen squares")
    chosen = wait_for_another_chart(lab_page, before)
    cells = page.locator("td", has_text="s-")
    wait_for(lambda: len(set(runs) & set(cells.all_inner_texts())) == 1, "not one run is named")
    lab_page.screenshot("sweep-square")

    lab_page.click("report-on-these-runs")
    page.wait_for_selector("a:has-text('.html')")
    assert list((lab_folder / "data/reports").glob("s-*.html"))

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
