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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from workbench.cli.lab import lab_command
from workbench.docs.screenshots import chromium_program

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")  # a folder for pictures of the browser

TIMEOUT_SECONDS = 120.0  # for a machine that is busy
TIMEOUT_MILLISECONDS = 1000 * TIMEOUT_SECONDS

PANEL_CELL = """import workbench.notebook as wb

panel = wb.run_panel(
    "c", "tiny", "live", epochs=900.0, evaluate_every=4.0, decays=10, patience=100
)
panel"""
SLOW_CELL = "import time\n\ntime.sleep(120)"

CURRENT_NOTEBOOK = "window.jupyterapp.shell.currentWidget"
LIVE_IMAGE = "img.workbench-live"
IMAGE_HAS_CHANGED = f"""old => {{
    const image = document.querySelector('{LIVE_IMAGE}');
    return image && image.naturalWidth > 1 && image.src !== old
}}"""
# A cell that is run before the kernel is ready is dropped without a message.
WAIT_FOR_KERNEL = f"""async () => {{
    const session = {CURRENT_NOTEBOOK}.context.sessionContext;
    await session.ready;
    await session.session.kernel.info;
}}"""
# The heights of the panel's cell, at every frame that the browser paints.
WATCH_HEIGHT = """() => {
    window.heights = [];
    const look = () => {
        const cell = document.querySelector('.jp-Notebook .jp-CodeCell');
        window.heights.push(cell.getBoundingClientRect().height);
        requestAnimationFrame(look);
    };
    look();
}"""


@pytest.fixture
def folder(prepared_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a small corpus, and a notebook with the run panel and a slow cell."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    shutil.copytree(prepared_tiny, tmp_path / "data" / "corpora" / "c")

    cells = [nbformat.v4.new_code_cell(text) for text in (PANEL_CELL, SLOW_CELL)]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    (tmp_path / "notebooks").mkdir()
    nbformat.write(made, tmp_path / "notebooks" / "live.ipynb")

    return tmp_path


@pytest.fixture
def lab(folder: Path) -> Iterator[str]:
    """The address of a running JupyterLab, which knows nothing of the user's configuration."""
    for package in ("jupyterlab", "playwright"):
        pytest.importorskip(package)

    turn_off_news(folder)
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(folder / "notebooks"),
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        "--IdentityProvider.token=test",
        "--LabApp.expose_app_in_browser=True",
    ]
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "share"),
        "JUPYTER_RUNTIME_DIR": str(folder / "run"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": str(ROOT),
    }

    with open(folder / "lab.log", "w") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )

    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(f"{address}/api?token=test"), "JupyterLab did not start")
        yield address
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(5)


def turn_off_news(folder: Path) -> None:
    """Turns off JupyterLab's pop-up about news, which would cover the page."""
    settings = folder / "config/lab/user-settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    news = '{"fetchNews": "false", "checkForUpdates": false}'
    (settings / "notification.jupyterlab-settings").write_text(news)


def free_port() -> int:
    """Returns a port that no process listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def answers(address: str) -> bool:
    """Whether a server answers."""
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(condition: Callable[[], object], problem: str) -> None:
    """Waits until ``condition()`` is true; fails with ``problem`` if that takes too long."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, problem
        time.sleep(0.2)


class LabPage:
    """JupyterLab in a browser with one notebook open."""

    def __init__(self, page: "Page"):
        self.page = page

    def open(self, address: str) -> None:
        """Opens a notebook and waits for its cells."""
        self.page.set_default_timeout(TIMEOUT_MILLISECONDS)
        self.page.goto(address)
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")

    def run_cell(self, number: int) -> None:
        """Starts a cell and does not wait for its end."""
        self.page.evaluate(WAIT_FOR_KERNEL)
        self.page.evaluate(f"n => {{ {CURRENT_NOTEBOOK}.content.activeCellIndex = n }}", number)
        self.execute("notebook:run-cell")

    def execute(self, command: str) -> None:
        """Starts one of JupyterLab's commands."""
        self.page.evaluate(f"() => {{ window.jupyterapp.commands.execute('{command}') }}")

    def save(self) -> None:
        """Saves the notebook and waits until it is saved."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def interrupt(self) -> None:
        """Interrupts the kernel and waits until the running cell shows that."""
        kernel = f"{CURRENT_NOTEBOOK}.context.sessionContext.session.kernel"
        self.page.evaluate(f"() => {kernel}.interrupt()")
        self.page.wait_for_selector("text=KeyboardInterrupt")

    def click(self, button: str) -> None:
        """Clicks a button of the panel."""
        self.page.click(f"button.workbench-{button}")

    def stop_run(self) -> None:
        """Clicks Stop and waits until the run has come to rest."""
        self.click("stop")
        self.page.wait_for_selector("text=/live-[0-9a-f]+: (stopped|done)/")

    def wait_for_frames(self, count: int) -> None:
        """Waits until the live picture has changed ``count`` times."""
        for _ in range(count):
            source = f"() => document.querySelector('{LIVE_IMAGE}')?.src ?? ''"
            shown = self.page.evaluate(source)
            self.page.wait_for_function(IMAGE_HAS_CHANGED, arg=shown)

    def watch_height(self) -> None:
        """Records the height of the panel's cell from now on."""
        self.page.evaluate(WATCH_HEIGHT)

    def assert_height_was_constant(self, frames: int) -> None:
        """The height of the panel's cell was recorded in so many frames, the same to a pixel."""
        heights = self.page.evaluate("() => window.heights")
        assert len(heights) > frames
        assert max(heights) - min(heights) <= 1, sorted(set(heights))

    def screenshot(self, name: str) -> None:
        """Keeps what the browser shows, if WORKBENCH_SCREENSHOTS names a folder."""
        if SCREENSHOTS:
            self.page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"))


@pytest.fixture
def lab_page(lab: str) -> Iterator[LabPage]:
    """JupyterLab in Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = chromium_program()
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = LabPage(browser.new_page(viewport={"width": 1180, "height": 900}))
        page.open(f"{lab}/lab/tree/live.ipynb?token=test")
        yield page
        browser.close()


def test_watch_interrupt_reload_report(lab_page: LabPage, folder: Path) -> None:
    """
    1. After Start the picture changes; the panel keeps its height before, then and afterwards.
    2. Neither a slow cell nor its interruption stops the picture.
    3. Stop leaves a plain picture in the notebook, and Resume makes it live again.
    4. After a reload the picture keeps changing, Stop stops the run, Report writes the report.
    """
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

    lab_page.stop_run()
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
    lab_page.stop_run()
    lab_page.click("report")
    reports = folder / "data/reports"
    wait_for(lambda: list(reports.glob("live-*.html")), "no report was written")
    lab_page.screenshot("report")
    lab_page.assert_height_was_constant(frames=20)


def test_lab_is_for_this_computer_alone() -> None:
    """`workbench lab` listens on the loopback address and leaves Jupyter's token in force."""
    words = " ".join(lab_command(Path("/data"), 8888, open_browser=False))
    assert "--ServerApp.ip=127.0.0.1" in words
    assert "token" not in words
    assert "--no-browser" in words
