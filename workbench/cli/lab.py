"""``workbench lab``: JupyterLab on the notebooks, on this computer only, with its token."""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workbench.settings import UserError

EXAMPLES = ""
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    port: int
    no_open: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--port", type=int, default=8888, help="port to try first (default: 8888)")
    parser.add_argument(
        "--no-open", action="store_true", help="do not open a browser; the address is printed"
    )


def run(options: Options) -> int:
    """Run JupyterLab until it ends; return its exit code."""
    command = lab_command(options.port, not options.no_open)
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0


def lab_command(port: int, open_browser: bool) -> list[str]:
    """The command that starts JupyterLab: loopback only, and the token that Jupyter makes stays in
    force.
    """
    if not NOTEBOOKS.is_dir():
        raise UserError(f"{NOTEBOOKS}: no notebooks here; run this from a checkout")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(NOTEBOOKS),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
    ]
    return command if open_browser else [*command, "--no-browser"]
