"""`workbench lab`: who may reach it, and who may start it."""

import subprocess
from pathlib import Path

import pytest

from workbench.cli import lab
from workbench.cli.exit_codes import FAILED
from workbench.cli.lab import lab_command
from workbench.cli.main import main


def test_lab_is_for_this_computer_alone() -> None:
    """`workbench lab` listens on the loopback address and leaves Jupyter's token in force."""
    words = " ".join(lab_command(Path("/data"), 8888, open_browser=False))
    assert "--ServerApp.ip=127.0.0.1" in words
    assert "token" not in words
    assert "--no-browser" in words


def test_root_is_told_how_to_start_it(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a container everybody is root. Options behind -- are JupyterLab's, which is then run."""
    started: list[list[str]] = []

    def start(command: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        started.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(lab.os, "geteuid", lambda: 0)
    monkeypatch.setattr(lab.subprocess, "run", start)
    assert main(["lab"]) == FAILED
    assert capsys.readouterr().err.strip().endswith("workbench lab -- --allow-root")
    assert started == []
    assert main(["lab", "--no-open", "--", "--allow-root"]) == 0
    assert "--allow-root" in started[0]
    assert str(data_folder) in started[0]
