"""An output of a cell for all tests here, and JupyterLab in a browser for those that click."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_output import Output
from lab_page import LabPage, jupyterlab

from workbench.docs.screenshots import chromium_program


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    """The output in which everything is displayed."""
    made = Output()
    monkeypatch.setattr("IPython.display.display", made.display)
    return made


@pytest.fixture
def lab_folder(prepared_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a small corpus ``c``, and a folder for notebooks beside it."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    shutil.copytree(prepared_tiny, tmp_path / "data" / "corpora" / "c")
    (tmp_path / "notebooks").mkdir()

    return tmp_path


@pytest.fixture
def lab_page(lab_folder: Path) -> Iterator[LabPage]:
    """JupyterLab in Chromium, with no notebook open yet."""
    for package in ("jupyterlab", "playwright"):
        pytest.importorskip(package)
    from playwright.sync_api import sync_playwright

    chromium = chromium_program()
    with jupyterlab(lab_folder) as address, sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1180, "height": 900})
        yield LabPage(page, address)
        browser.close()
