"""Panels in a browser with the dark theme and in a narrow window: what they say can be read."""

from pathlib import Path

import pytest
from fake_runs import fake_run
from lab_page import LabPage, write_lab_notebook

from workbench.settings import Settings
from workbench.sweeping import Sweep
from workbench.sweeping.known_runs import run_name

pytestmark = [pytest.mark.browser, pytest.mark.slow]

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
