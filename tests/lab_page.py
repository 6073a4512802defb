"""JupyterLab in a real browser, for tests that click."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from notebook_files import code_cell, write_notebook

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")  # a folder for pictures of the browser

TIMEOUT_SECONDS = 120.0  # for a machine that is busy
TIMEOUT_MILLISECONDS = 1000 * TIMEOUT_SECONDS

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


def write_lab_notebook(path: Path, cells: Sequence[str]) -> None:
    """Write a notebook of cells of code, for the kernel that JupyterLab has."""
    path.parent.mkdir(exist_ok=True)
    write_notebook(path, [code_cell(text) for text in cells], kernel="python3")


@contextlib.contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Run JupyterLab, which knows nothing of the user's configuration; yield its address."""
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
    """JupyterLab at an address, in a browser with one notebook open."""

    def __init__(self, page: "Page", address: str):
        self.page = page
        self.address = address

    def open(self, notebook: str) -> None:
        """Opens a notebook, without those of before, and waits for its cells."""
        self.page.set_default_timeout(TIMEOUT_MILLISECONDS)
        workspace = notebook.removesuffix(".ipynb")  # it would open again what another one had open
        self.page.goto(f"{self.address}/lab/workspaces/{workspace}/tree/{notebook}?token=test")
        self.page.wait_for_selector(".jp-Notebook .jp-CodeCell")

    def run_cell(self, number: int) -> None:
        """Starts a cell and does not wait for its end."""
        self.page.evaluate(WAIT_FOR_KERNEL)
        self.page.evaluate(f"n => {{ {CURRENT_NOTEBOOK}.content.activeCellIndex = n }}", number)
        self.execute("notebook:run-cell")

    def execute(self, command: str, **arguments: str) -> None:
        """Starts one of JupyterLab's commands."""
        start = "([command, given]) => { window.jupyterapp.commands.execute(command, given) }"
        self.page.evaluate(start, [command, arguments])

    def wait_until_idle(self) -> None:
        """Waits until the kernel has done what was clicked, and the page has what it sent."""
        self.page.wait_for_timeout(500)
        status = f"() => {CURRENT_NOTEBOOK}.context.sessionContext.session.kernel.status"
        wait_for(lambda: self.page.evaluate(status) == "idle", "the kernel stays busy")
        self.page.wait_for_timeout(500)

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
