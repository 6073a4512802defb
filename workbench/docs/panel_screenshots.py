"""Screenshots of the panels in JupyterLab: light, dark, and in a window of a phone's width.

``python -m workbench.docs.panel_screenshots FOLDER`` starts JupyterLab on a notebook with a cell
for each panel, runs them on what the data folder holds, and keeps a picture of each output.
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import nbformat

from workbench.docs.screenshots import chromium_program
from workbench.settings import UserError
from workbench.storage.run import all_runs
from workbench.sweeping import all_sweeps
from workbench.system.processes import child_environment

if TYPE_CHECKING:
    from playwright.sync_api import Page

TOKEN = "pictures"
START_SECONDS = 120.0
CELL_SECONDS = 180.0
SETTLING_MILLISECONDS = 6000  # until the browser shows what the kernel has sent
HEIGHT = 1900  # pixels
DESK_WIDTH = 1280  # pixels
PHONE_WIDTH = 390  # pixels
IMPORT = "import workbench.notebook as wb\n"
NOTEBOOK = "window.jupyterapp.shell.currentWidget"
# A cell that is run before the kernel is ready is dropped without a message.
WAIT_FOR_KERNEL = f"""async () => {{
    const session = {NOTEBOOK}.context.sessionContext;
    await session.ready;
    await session.session.kernel.info;
}}"""
KERNEL_IS_IDLE = f"() => {NOTEBOOK}.context.sessionContext.session.kernel.status === 'idle'"
CELL_IS_IDLE = f"number => {NOTEBOOK}.content.widgets[number].model.executionState === 'idle'"
CELL_HAS_FAILED = f"""number => {{
    const outputs = {NOTEBOOK}.content.widgets[number].model.outputs.toJSON();
    return outputs.some(output => output.output_type === 'error');
}}"""


class PanelReader(NamedTuple):
    """How somebody sees a panel: the theme, and the width of the window in pixels."""

    name: str
    theme: str
    width: int


READERS = (
    PanelReader("light", "JupyterLab Light", DESK_WIDTH),
    PanelReader("dark", "JupyterLab Dark", DESK_WIDTH),
    PanelReader("phone", "JupyterLab Light", PHONE_WIDTH),
)


class PanelCell(NamedTuple):
    """A cell that shows a panel, and the selector of a button to click before the picture."""

    name: str
    code: str
    click: str = ""


def panel_cells() -> list[PanelCell]:
    """Return a cell for each panel, about what the data folder holds."""
    runs = sorted(all_runs(), key=lambda run: run.folder.stat().st_mtime)
    trained = [run for run in runs if (run.folder / "model").exists() and run.settings.sequence]
    if not trained:
        raise UserError("train a sequence criterion first: its run is shown in the pictures")

    last = trained[-1]
    corpus = last.record.corpus.name
    cells = [
        PanelCell("run", f"panel = wb.run_panel({corpus!r}, 'tiny')\npanel"),
        PanelCell("attached", f"wb.attach({last.name!r})"),
        PanelCell("runs", "wb.runs_panel()"),
        PanelCell("compare", f"wb.compare_panel({last.name!r}, {last.record.parent_run!r})"),
        PanelCell("utterance", f"wb.utterance_panel({last.name!r})"),
        PanelCell("staleness", "wb.staleness_panel(replicas=20, utterances=300)"),
        PanelCell("figure", f"wb.draw_curves(wb.open_runs({last.name!r}))"),
        PanelCell("report", f"wb.report(*wb.open_runs({last.name!r}))"),
    ]
    for sweep in all_sweeps():
        code = f"wb.sweep_panel({corpus!r}, name={sweep.name!r})"
        cells.append(PanelCell(f"sweep-{sweep.name}", code, "button.workbench-row-head >> nth=1"))

    return cells


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Run JupyterLab on a folder, without the user's configuration; yield its address."""
    settings = folder / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    news = '{"fetchNews": "false", "checkForUpdates": false}'
    (settings / "notification.jupyterlab-settings").write_text(news)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(folder),
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--IdentityProvider.token={TOKEN}",
        "--LabApp.expose_app_in_browser=True",
    ]
    environment = child_environment(
        JUPYTER_CONFIG_DIR=str(folder / "config"),
        JUPYTER_DATA_DIR=str(folder / "share"),
        JUPYTER_RUNTIME_DIR=str(folder / "run"),
    )
    address = f"http://127.0.0.1:{port}"

    with open(folder / "lab.log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    try:
        _wait_until_it_answers(f"{address}/api?token={TOKEN}")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_it_answers(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise UserError(f"JupyterLab did not start within {START_SECONDS:.0f} s")


def take_panel_screenshots(
    cells: Sequence[PanelCell], folder: Path, readers: Sequence[PanelReader] = READERS
) -> list[Path]:
    """Run the cells in JupyterLab, and take a picture of each output for each reader."""
    from playwright.sync_api import sync_playwright

    chromium = chromium_program()
    folder.mkdir(parents=True, exist_ok=True)
    made = []

    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as play:
        _write_notebook(cells, Path(temporary) / "panels.ipynb")
        with jupyterlab(Path(temporary)) as address:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": DESK_WIDTH, "height": HEIGHT})
            page.set_default_timeout(1000 * CELL_SECONDS)
            page.goto(f"{address}/lab/tree/panels.ipynb?token={TOKEN}")
            page.wait_for_selector(".jp-Notebook .jp-CodeCell")
            page.evaluate(
                "() => window.jupyterapp.commands.execute('application:toggle-left-area')"
            )
            page.evaluate(WAIT_FOR_KERNEL)
            for number, cell in enumerate(cells):
                _run_cell(page, number, cell)
                for reader in readers:
                    made.append(folder / f"{cell.name}-{reader.name}.png")
                    _take_picture(page, number, reader, made[-1])
            browser.close()

    return made


def _write_notebook(cells: Sequence[PanelCell], path: Path) -> None:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(IMPORT + cell.code) for cell in cells],
        metadata={"kernelspec": kernel},
    )
    nbformat.write(made, path)


def _run_cell(page: "Page", number: int, cell: PanelCell) -> None:
    """Run a cell, wait for its end, and click what the picture shows clicked."""
    page.evaluate(f"n => {{ {NOTEBOOK}.content.activeCellIndex = n }}", number)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-cell')")
    page.wait_for_function(CELL_IS_IDLE, arg=number)
    page.wait_for_timeout(SETTLING_MILLISECONDS)
    page.wait_for_function(KERNEL_IS_IDLE)
    if page.evaluate(CELL_HAS_FAILED, number):
        raise UserError(f"{cell.name}: its cell has failed, so there is no picture of it")

    if cell.click:
        page.locator(f".jp-CodeCell >> nth={number}").locator(cell.click).click()
        page.wait_for_timeout(SETTLING_MILLISECONDS)
        page.wait_for_function(KERNEL_IS_IDLE)


def _take_picture(page: "Page", number: int, reader: PanelReader, path: Path) -> None:
    change = "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
    page.evaluate(change, reader.theme)
    page.set_viewport_size({"width": reader.width, "height": HEIGHT})
    page.wait_for_timeout(1500)
    output = page.locator(f".jp-CodeCell >> nth={number}").locator(".jp-Cell-outputArea")
    output.scroll_into_view_if_needed()
    output.screenshot(path=str(path))
    page.set_viewport_size({"width": DESK_WIDTH, "height": HEIGHT})


def main(words: Sequence[str] | None = None) -> None:
    """Take the pictures of the panels that the command line names, by default all."""
    parser = argparse.ArgumentParser(prog="python -m workbench.docs.panel_screenshots")
    parser.add_argument("folder", type=Path, help="where the pictures go")
    parser.add_argument("--only", nargs="+", default=[], help="names of panels that begin so")
    options = parser.parse_args(words)
    try:
        cells = panel_cells()
        if options.only:
            cells = [cell for cell in cells if cell.name.startswith(tuple(options.only))]
        made = take_panel_screenshots(cells, options.folder)
    except UserError as error:
        parser.error(str(error))
    print(*made, sep="\n")


if __name__ == "__main__":
    main()
