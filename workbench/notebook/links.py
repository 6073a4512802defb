"""Links to files of the data folder that a browser can open, wherever JupyterLab runs.

The server of this kernel says in its runtime file which folder it serves, and below which address.
So links work on another machine and on a JupyterHub too.
"""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from workbench.notebook.screen import NOTEBOOK_PACKAGE
from workbench.reports.render import render

PARENT = "JPY_PARENT_PID"  # where Jupyter tells a kernel the process of its server


@dataclass(frozen=True)
class Server:
    """The server of this kernel: what stands before its addresses, and the folder it serves."""

    base_url: str
    root: Path

    def address(self, path: Path) -> str:
        """Return the address of a file, or nothing if the server does not serve it."""
        resolved = path.resolve()
        if not resolved.is_relative_to(self.root):
            return ""
        return f"{self.base_url}files/{quote(resolved.relative_to(self.root).as_posix())}"


def find_server() -> Server | None:
    """Return the Jupyter server that started this process; None outside of one."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return None

    try:
        from jupyter_server.serverapp import list_running_servers
    except ImportError:
        return None

    for running in list_running_servers():
        if str(running.get("pid")) == parent:
            return Server(running["base_url"], Path(running["root_dir"]).resolve())

    return None


def file_html(path: Path, text: str = "") -> str:
    """Return a link that opens a file, or one that saves it where no server serves it."""
    served = served_html(path, text, find_server())
    if served:
        return served
    return _link_html(path, text, data=base64.b64encode(path.read_bytes()).decode())


def served_html(path: Path, text: str, server: Server | None) -> str:
    """Return a link that opens a file, or nothing where ``server`` does not serve it.

    It is for tables: the link of `file_html` may hold the whole file.
    """
    address = server.address(path) if server else ""
    return _link_html(path, text, address=address) if address else ""


def _link_html(path: Path, text: str, address: str = "", data: str = "") -> str:
    return render(
        NOTEBOOK_PACKAGE,
        "file.html",
        address=address,
        data=data,
        name=path.name,
        path=str(path),
        text=text or path.name,
    )


class ReportFile(str):
    """The path of a report's HTML file, which a notebook shows as a link."""

    def _repr_html_(self) -> str:
        return file_html(Path(self))
