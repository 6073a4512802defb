"""A disk that is full under any command: one line, no halves of files, and it works afterwards."""

import shutil
from pathlib import Path

import pytest
from full_disk import largest_file, parts_below

from workbench.cli.main import main

pytestmark = pytest.mark.slow

SETTINGS = ["--preset", "tiny", "--set", "epochs=1", "checkpoint_every=0.5"]
TRAIN = ["train", "tiny", *SETTINGS, "--name", "kept"]
SIZES = (0, 150, 1_000, 6_000)
"""The largest file that fits: nothing, a status, a record, rows."""

COMMANDS = {
    "train": ["train", "tiny", *SETTINGS, "--name", "new"],
    # One cell: each is a process that imports torch, and there are four sizes.
    "sweep": ["sweep", "tiny", *SETTINGS, "--axis", "batch=16", "--no-test", "--jobs", "1"],
    "rates": ["rates", "tiny", *SETTINGS],
    "test": ["test", "kept"],
    "align": ["align", "kept", "--name", "again"],
    "report": ["report", "kept", "--out", "OUT/report.html"],
    "export": ["export", "kept", "--to", "csv", "--out", "OUT/csv"],
    "pack": ["runs", "pack", "kept", "--out", "OUT/kept.zip"],
}


@pytest.fixture(scope="module")
def home(tiny_home: Path) -> Path:
    """A data folder with a corpus and a run; all that commands compile is compiled."""
    assert main(TRAIN) == 0
    assert main([*TRAIN[:-1], "tested"]) == 0
    assert main(["test", "tested"]) == 0
    return tiny_home


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_told_in_a_line_and_harms_nothing(
    home: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever could not be written is named, and the same command works once there is room."""
    words = [word.replace("OUT", str(home)) for word in COMMANDS[command]]
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}

    failed = 0
    for size in SIZES:
        with largest_file(size):
            code = main(words)
        said = capsys.readouterr().err
        assert parts_below(home) == []
        if code:
            failed += 1
            assert code == 1
            assert "Traceback" not in said
            last = said.replace("\r", "\n").strip().splitlines()[-1]
            assert "too large; allow larger files" in last
            assert str(home) in last
            changed = [path for path, data in before.items() if path.read_bytes() != data]
            assert changed == []

    assert failed
    for begun in home.glob("runs/new-*"):
        shutil.rmtree(begun)
    if code:
        assert main(words) == 0
