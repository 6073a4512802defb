"""What all tests share: one thread, no screen, repeatable examples, and reasons for what cannot run
here.
"""

import os

from workbench.processes import set_environment

set_environment()  # before torch and numpy are imported: tests run side by side
os.environ["NUMBA_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import importlib
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

settings.register_profile("workbench", deadline=None, derandomize=True)
settings.load_profile("workbench")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, with the reason, a marked test whose need this machine does not meet."""
    for mark, missing in (("k2", k2_missing), ("gpu", gpu_missing), ("browser", browser_missing)):
        if item.get_closest_marker(mark) and (reason := missing()):
            pytest.skip(reason)


def k2_missing() -> str:
    """Why k2 cannot be used, or nothing."""
    try:
        importlib.import_module("k2")
    except (ImportError, OSError) as error:
        return f"k2 does not load: {error}"
    return ""


def gpu_missing() -> str:
    """Why no GPU can be used, or nothing."""
    return "" if importlib.import_module("torch").cuda.is_available() else "torch finds no GPU"


def browser_missing() -> str:
    """Why no browser can be driven, or nothing."""
    return (
        ""
        if shutil.which("chromium") or shutil.which("google-chrome")
        else "Chromium is not installed"
    )


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder for one test."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def shared_digits() -> Path:
    """The folder of the real corpus of spoken digits, a Kaldi data directory."""
    folder = ROOT.parent / "shared/data/digits"
    if not folder.is_dir():
        pytest.skip(f"no corpus of digits at {folder}")
    return folder
