"""JupyterLab on the notebooks: on this computer alone, with its token."""

import subprocess
import sys
from pathlib import Path

from workbench.settings import UserError

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def lab_command(port: int, open_browser: bool) -> list[str]:
    """The command that ``workbench lab`` runs: loopback only, the token that Jupyter makes stays in force."""
    if not NOTEBOOKS.is_dir():
        raise UserError(f"{NOTEBOOKS}: no notebooks here; run this from a checkout")
    words = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(NOTEBOOKS),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
    ]
    return words if open_browser else [*words, "--no-browser"]


def run_lab(port: int = 8888, open_browser: bool = True) -> int:
    """Run JupyterLab until it is ended; its exit code."""
    try:
        return subprocess.run(lab_command(port, open_browser)).returncode
    except KeyboardInterrupt:
        return 0
