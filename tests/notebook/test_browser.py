"""JupyterLab in a browser: start a run, watch, interrupt, reload, and write the report."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from workbench.cli.lab import lab_command
from workbench.prepare.pipeline import Preparation, Source, prepare

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
CELLS = (
    "import workbench.notebook as wb\n\n"
    "panel = wb.run_panel('c', 'tiny', 'live', epochs=900.0, evaluate_every=4.0, decays=10, patience=100)\npanel",
    "import time\n\ntime.sleep(120)",
)
NEXT_FRAME = "old => { const i = document.querySelector('img.workbench-live'); return i && i.naturalWidth > 1 && i.src !== old }"
READY = """async () => {
    const session = window.jupyterapp.shell.currentWidget.context.sessionContext;
    await session.ready;
    await session.session.kernel.info;  // a cell that is run before is dropped without a word
}"""
WATCH_HEIGHT = """() => {
    window.heights = [];  // of the panel's cell, at every frame that the browser paints
    const look = () => {
        window.heights.push(document.querySelector('.jp-Notebook .jp-CodeCell').getBoundingClientRect().height);
        requestAnimationFrame(look);
    };
    look();
}"""
PATIENCE = 120_000  # milliseconds, for a machine that has other things to do
SHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")  # a folder, to look at what the browser saw


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a small corpus, and a notebook with the run panel and a slow cell."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    prepare("c", Source(synthetic="is", size="tiny"), Preparation(states=150), jobs=1)
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    (tmp_path / "notebooks").mkdir()
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(made, tmp_path / "notebooks" / "live.ipynb")
    return tmp_path


@pytest.fixture
def lab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab of its own, with nothing of the user's configuration."""
    for package in ("jupyterlab", "playwright"):
        pytest.importorskip(package)
    settings = folder / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    news = '{"fetchNews": "false", "checkForUpdates": false}'  # its pop-up would cover the page
    (settings / "notification.jupyterlab-settings").write_text(news)
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "share",
        "JUPYTER_RUNTIME_DIR": "run",
        "IPYTHONDIR": "ipython",
    }
    environment = {
        **os.environ,
        **{k: str(folder / v) for k, v in places.items()},
        "PYTHONPATH": str(ROOT),
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(folder / "notebooks"),
        "--no-browser",
        "--allow-root",
    ]
    command += [
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--IdentityProvider.token=test",
        "--LabApp.expose_app_in_browser=True",
    ]
    with open(folder / "lab.log", "w") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{address}/api?token=test"), 120, "JupyterLab did not start")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(5)


def answers(address: str) -> bool:
    """Whether a server answers."""
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(true: Any, seconds: float, otherwise: str) -> None:
    """Wait until ``true()``."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.2)


def run_cell(page: Any, number: int) -> None:
    """Start a cell, and do not wait for its end."""
    page.evaluate(READY)
    page.evaluate(
        "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n }", number
    )
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell') }")


def frame(page: Any) -> str:
    """The address of the picture that is shown now."""
    return page.evaluate("() => document.querySelector('img.workbench-live')?.src ?? ''")


def next_frame(page: Any) -> None:
    """Wait for another picture."""
    page.wait_for_function(NEXT_FRAME, arg=frame(page), timeout=PATIENCE)


def assert_stood_still(page: Any, frames: int) -> None:
    """The panel's cell has had one height, to a pixel, over at least ``frames`` frames."""
    heights = page.evaluate("() => window.heights")
    assert len(heights) > frames and max(heights) - min(heights) <= 1, (
        len(heights),
        sorted(set(heights)),
    )


def stop(page: Any) -> None:
    """Press Stop, and wait until the run has come to rest."""
    page.click("button.workbench-stop")
    page.wait_for_selector("text=/live-[0-9a-f]+: (stopped|done)/")


def shot(page: Any, name: str) -> None:
    """Keep what the browser shows, if somebody wants to look."""
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def test_watch_interrupt_reload_report(lab: str, folder: Path) -> None:
    """
    1. Start is pressed: different frames are seen; before, then and afterwards the panel has the
    same height. 2. A cell that takes long does not stop the picture, and neither does its
    interruption. 3. Stop leaves a plain picture in the notebook, Resume makes it live again; the
    height is still the same. 4. The page is reloaded: the picture goes on, Stop brings the run to
    rest, Report writes the report.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1180, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(f"{lab}/lab/tree/live.ipynb?token=test")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        run_cell(page, 0)
        page.wait_for_selector("button.workbench-start")
        page.wait_for_selector("img.workbench-live", state="attached")
        page.evaluate(WATCH_HEIGHT)
        page.click("button.workbench-start")
        for _ in range(4):
            next_frame(page)
        shot(page, "live")
        run_cell(page, 1)
        next_frame(page)
        page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.interrupt()"
        )
        page.wait_for_selector("text=KeyboardInterrupt")
        next_frame(page)
        stop(page)
        page.wait_for_function(
            "() => !document.querySelector('img.workbench-live')"
        )  # frozen to a plain picture
        shot(page, "frozen")
        page.click("button.workbench-resume")
        for _ in range(2):
            next_frame(page)
        assert_stood_still(page, 100)
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        page.reload()
        page.wait_for_selector("img.workbench-live")
        next_frame(page)
        page.evaluate(WATCH_HEIGHT)
        stop(page)
        page.click("button.workbench-report")
        wait_for(
            lambda: list((folder / "data/reports").glob("live-*.html")),
            120,
            "no report was written",
        )
        shot(page, "report")
        assert_stood_still(page, 20)
        browser.close()


def test_lab_is_for_this_computer_alone() -> None:
    """`workbench lab` listens on the loopback address and leaves Jupyter's token in force."""
    words = " ".join(lab_command(8888, open_browser=False))
    assert "--ServerApp.ip=127.0.0.1" in words and "token" not in words and "--no-browser" in words
