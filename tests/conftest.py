"""What all tests share: one thread, no screen, repeatable examples, the tiny corpus."""

import os

from workbench.system.processes import set_environment

set_environment()  # before torch and numpy are imported: tests run side by side
os.environ["NUMBA_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

import fcntl
import importlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
MEMORY = Path("/dev/shm")  # a file system in memory
MEMORY_ASKED = 4 * 2**30  # bytes; the tests have a tenth of it at a time

settings.register_profile("workbench", deadline=None, derandomize=True)
settings.load_profile("workbench")


def memory_holds_files() -> bool:
    """Whether the file system in memory is large enough for the tests, and runs programs."""
    if not os.access(MEMORY, os.W_OK):
        return False
    system = os.statvfs(MEMORY)
    free = min(system.f_bavail * system.f_frsize, psutil.virtual_memory().available)
    return free >= MEMORY_ASKED and not system.f_flag & os.ST_NOEXEC


# Whatever is stored is synced to the disk, so tests would wait for it a third of their time.
if "TMPDIR" not in os.environ and memory_holds_files():
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # pytest has asked for it before


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


@pytest.fixture(autouse=True, scope="module")
def own_names_only() -> Iterator[None]:
    """What the tests of one file add to rules, shufflings and criteria is unknown to others."""
    from workbench.settings.alternatives import passing_choices

    with passing_choices():
        yield


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder for one test."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def prepared_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny corpus, prepared once and shared by all workers of pytest-xdist.

    Tests copy it, under the name they like, into a data folder that is theirs.
    """
    if "WORKBENCH_TINY" in os.environ:  # on a machine without the synthesiser, see device.sh
        return Path(os.environ["WORKBENCH_TINY"])

    from workbench.prepare import pipeline

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with open(shared / "tiny.lock", "w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setenv("WORKBENCH_DATA", str(shared / "tiny"))
        source = pipeline.Source(synthetic="is", size="tiny")
        return pipeline.prepare("tiny", source, pipeline.Preparation(states=150), jobs=1).folder


@pytest.fixture(scope="module")
def tiny_home(prepared_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder for the tests of one file, with the corpus ``tiny`` prepared in it."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(prepared_tiny, folder / "corpora" / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(folder))
        yield folder


@pytest.fixture(scope="module")
def short_rehearsals() -> Iterator[None]:
    """Forecasts rest on one push, for tests to which it does not matter how long work takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.sweeping.rehearsal.SECONDS", 0.1)
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for the tests of one file; each opens a page of its own."""
    pytest.importorskip("playwright")
    from playwright.sync_api import sync_playwright

    from workbench.docs.screenshots import chromium_program

    with sync_playwright() as play:
        started = play.chromium.launch(
            executable_path=chromium_program(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def shared_digits() -> Path:
    """The folder of the real corpus of spoken digits, a Kaldi data directory."""
    folder = ROOT.parent / "shared/data/digits"
    if not folder.is_dir():
        pytest.skip(f"no corpus of digits at {folder}")
    return folder
