"""What `workbench info` says of a machine, and that tests run on one thread."""

from pathlib import Path

import pytest
import torch

from workbench.cli import info


def test_tests_use_one_thread() -> None:
    """Torch has one thread under test, since tests run side by side."""
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    "release, old", [("1.13.1", True), ("2.9.1+cpu", True), ("2.10.0", False), ("2.13.0", False)]
)
def test_old_torch_is_told(release: str, old: bool) -> None:
    """A torch whose torch.load can be made to run code is told, with what that means here."""
    fact = info.torch_load(release)
    assert ("older than 2.10" in fact.value, bool(fact.advice)) == (old, old)
    assert "never called here" in fact.value


def test_too_little_memory_is_told() -> None:
    """Advice comes where memory is short, and only there."""
    assert info.memory(2 * info.GIB, 2).advice
    assert not info.memory(24 * info.GIB, 2).advice


def test_too_little_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free space is that of the disk a folder will lie on, though it is not there yet; advice where
    it is short.
    """
    assert "GB free" in info.disk(tmp_path / "not/yet").value
    monkeypatch.setattr(info, "LITTLE_DISK", 1e18)
    assert "WORKBENCH_DATA" in info.disk(tmp_path).advice


def test_what_does_not_load_is_explained() -> None:
    """An optional package that is missing names its extra; one that is broken says what the system
    said.
    """

    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named '{name}'")

    def broken(name: str) -> None:
        raise ImportError("libpython3.11.so.1.0: cannot open shared object file")

    assert "workbench[data]" in info.check_import("icegrams", missing).advice
    assert "libpython3.11" in info.check_import("k2", broken).advice
    assert not info.check_import("k2", lambda name: None).advice


def test_description_names_what_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description has versions, arithmetic, machine, and the corpora and runs that
    are there.
    """
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    (tmp_path / "corpora/digits").mkdir(parents=True)
    (tmp_path / "corpora/digits/corpus.json").write_text("{}")
    text = info.describe()
    for word in (
        "python",
        torch.__version__.split("+")[0],
        "GFLOP/s",
        "processors",
        "digits",
        "none yet",
        str(tmp_path),
    ):
        assert word in text
