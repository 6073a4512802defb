"""An output of a cell for all tests here, and JupyterLab in a browser for those that click."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_output import Output
from lab_page import LabPage, jupyterlab

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    """The output in which everything is displayed."""
    made = Output()
    monkeypatch.setattr("IPython.display.display", made.display)
    return made


@pytest.fixture(scope="module")
def lab_folder(prepared_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a small corpus ``c``, and a folder for notebooks beside it."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(prepared_tiny, folder / "data" / "corpora" / "c")
    (folder / "notebooks").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(folder / "data"))
        yield folder


@pytest.fixture(scope="module")
def lab_address(lab_folder: Path) -> Iterator[str]:
    """The address of a JupyterLab, which serves all tests of a file."""
    pytest.importorskip("jupyterlab")
    with jupyterlab(lab_folder) as address:
        yield address


@pytest.fixture
def lab_page(lab_address: str, browser: "Browser") -> Iterator[LabPage]:
    """JupyterLab in Chromium, with no notebook open yet."""
    with browser.new_page(viewport={"width": 1180, "height": 900}) as page:
        yield LabPage(page, lab_address)
