"""The run panel in a browser: start a run, watch, interrupt, reload, and write the report."""

from pathlib import Path

import pytest
from lab_page import LIVE_IMAGE, LabPage, wait_for, write_lab_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow]

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
    lab_page.wait_for_frames(4)
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
