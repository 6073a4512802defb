"""``workbench lab``: JupyterLab on the notebooks, on this computer only, with its token."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.settings import UserError
from workbench.storage.home import CHECKOUT, data_folder

EXAMPLES = """examples:
  workbench lab
  workbench lab --no-open -- --allow-root    options behind -- are JupyterLab's own"""
FIRST_PAGE = "/lab/tree/notebooks/00-start-here.ipynb"
AS_ROOT = "--allow-root"


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    port: int
    no_open: bool
    words: list[str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--port", type=int, default=8888, help="port to try first (default: 8888)")
    parser.add_argument(
        "--no-open", action="store_true", help="do not open a browser; the address is printed"
    )
    parser.add_argument("words", nargs="*", metavar="-- OPTION", help="options of JupyterLab")


def run(options: Options) -> int:
    """Copy the notebooks to where they may change, and run JupyterLab; return its exit code."""
    from workbench.notebook.copies import copy_notebooks

    if not (CHECKOUT / "notebooks").is_dir():
        raise UserError(f"{CHECKOUT / 'notebooks'}: no notebooks here; run this from a checkout")
    if os.geteuid() == 0 and AS_ROOT not in options.words:
        raise UserError(f"JupyterLab does not run as root by itself: workbench lab -- {AS_ROOT}")

    copies = copy_notebooks(CHECKOUT, data_folder())
    print(f"your copies of the notebooks are in {copies.folder}")
    if copies.beside:
        print(f"newer ones stand beside those that you have edited: {', '.join(copies.beside)}")
    command = lab_command(data_folder(), options.port, not options.no_open, options.words)
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0


def lab_command(root: Path, port: int, open_browser: bool, words: Sequence[str] = ()) -> list[str]:
    """The command that starts JupyterLab: loopback only, and the token that Jupyter makes stays in
    force.

    ``root``: the folder that it serves; that of the data, so that reports can be opened too.
    """
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        str(root),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.port={port}",
        f"--LabApp.default_url={FIRST_PAGE}",
        *words,
    ]
    return command if open_browser else [*command, "--no-browser"]
