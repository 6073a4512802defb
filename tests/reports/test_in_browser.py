"""Pages in a browser: those that zoom answer pointer and wheel, and paper breaks no number."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from fake_runs import fake_run

from workbench.figures.sweep_columns import ColumnChoice, column_plot, offset_of
from workbench.notebook.screen import NOTEBOOK_PACKAGE
from workbench.reports.interactive import column_page, interactive_page
from workbench.reports.render import render
from workbench.reports.report import write_report
from workbench.settings import Settings
from workbench.storage.run import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TIMEOUT_MILLISECONDS = 120_000  # for a machine that is busy
HAS_DRAWN = "() => window.Bokeh && Bokeh.documents.length && Bokeh.documents[0].is_idle"
FIGURE = "[...Bokeh.documents[0].all_models].find(model => model.type === 'Figure')"
RANGE = f"() => {FIGURE}.x_range.end - {FIGURE}.x_range.start"


# The place of a point within the first figure, in pixels.
PLACE = f"""([x, y]) => {{
    const inside = view => [view, ...(view.child_views ?? []).flatMap(inside)];
    const views = [...Bokeh.index.roots].flatMap(inside);
    const frame = views.find(view => view.model === {FIGURE}).frame;
    return [frame.x_scale.compute(x), frame.y_scale.compute(y)];
}}"""


# The short cells behind the first column that have more than one line.
BROKEN_CELLS = """() => [...document.querySelectorAll('td.short:not(:first-child)')]
    .filter(cell => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        return text.getClientRects().length > 1;
    })
    .map(cell => cell.textContent)
"""


@pytest.fixture
def runs(data_folder: Path) -> list[Run]:
    """Two runs."""
    return [fake_run(f"{name}-00000000", Settings.of(criterion="mmi")) for name in "ab"]


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A page of Chromium that must neither fail nor ask the network for anything."""
    pytest.importorskip("bokeh")
    wrong: list[str] = []
    with browser.new_page(viewport={"width": 900, "height": 700}) as made:
        made.set_default_timeout(TIMEOUT_MILLISECONDS)
        made.on("pageerror", lambda error: wrong.append(str(error)))
        made.on("request", lambda asked: wrong.append(asked.url) if is_remote(asked.url) else None)
        yield made

    assert wrong == []


def is_remote(address: str) -> bool:
    """Whether an address is that of another computer."""
    return address.startswith(("http:", "https:", "ws:", "wss:"))


def open_page(page: "Page", html: str, folder: Path) -> "Frame":
    """Open HTML as the panel shows it, in a frame; return that frame when it has drawn."""
    framed = render(NOTEBOOK_PACKAGE, "zoomed.html", page=html, height=460)
    file = folder / "framed.html"
    file.write_text(f"<!doctype html><body>{framed}</body>")
    page.goto(file.as_uri())
    frame = page.frames[1]
    frame.wait_for_function(HAS_DRAWN)
    return frame


def point_at(page: "Page", frame: "Frame", x: float, y: float) -> None:
    """Move the pointer onto the point (x, y) of the first figure."""
    across, down = frame.evaluate(PLACE, [x, y])
    box = frame.locator(".bk-Figure").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + across - 20, box["y"] + down)
    page.mouse.move(box["x"] + across, box["y"] + down)


def zoom(page: "Page", frame: "Frame") -> None:
    """Turn on the tool of the wheel in the first figure, and turn the wheel."""
    box = frame.locator(".bk-Figure").first.bounding_box()
    assert box is not None
    frame.locator(".bk-tool-icon-wheel-zoom").first.click()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    page.mouse.wheel(0, -300)


def test_curves_are_drawn_named_and_zoomed(page: "Page", runs: list[Run], tmp_path: Path) -> None:
    """The pointer names the run of a point, and the wheel shows a smaller part of the axis."""
    html = interactive_page({"a": runs[:1], "b": runs[1:]}, "curves")
    frame = open_page(page, html, tmp_path)
    point_at(page, frame, 20, -0.8)
    frame.locator(".bk-Tooltip", has_text="b-00000000").wait_for()
    whole = frame.evaluate(RANGE)
    zoom(page, frame)
    frame.wait_for_function(f"whole => ({RANGE})() < 0.99 * whole", arg=whole)


def test_columns_are_drawn_and_named(page: "Page", tmp_path: Path) -> None:
    """A mark of any column against any other names its run."""
    rates = {("none", 0): 0.1, ("none", 1): 0.2, ("full", 0): 0.3, ("full", 1): 0.4}
    rows = [
        {"label": kind, "shuffling": kind, "seed": seed, "state": "done", "test_wer": rate}
        for (kind, seed), rate in rates.items()
    ]
    plot = column_plot(pd.DataFrame(rows), ColumnChoice("seed", "test_wer", "shuffling", ""))
    frame = open_page(page, column_page(plot, "columns"), tmp_path)
    (first,) = [group for group in plot.panels[0].groups if group.label == "shuffling=none"]
    point_at(page, frame, first.x[1] + offset_of(first.label, plot.labels), first.y[1])
    frame.locator(".bk-Tooltip", has_text="none, seed 1").wait_for()


def test_paper_breaks_no_number(page: "Page", runs: list[Run]) -> None:
    """Printed on A4, tables are as wide as the page, and each short cell is one line."""
    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print")
    page.goto(write_report(runs).resolve().as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 794
    assert page.locator("td.short").count() > 20
    assert page.evaluate(BROKEN_CELLS) == []
