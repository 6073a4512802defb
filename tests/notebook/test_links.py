"""Links to reports: through the server of the kernel, or as a file to save."""

from pathlib import Path

import pytest
from fake_runs import fake_run

import workbench.notebook as wb
from workbench.notebook import links
from workbench.notebook.links import ReportFile, Server, file_html, find_server
from workbench.settings import Settings


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report in a folder whose name needs quoting."""
    folder = tmp_path / "my data"
    folder.mkdir()
    (folder / "r.html").write_text("<p>all of it</p>")
    return folder / "r.html"


def test_a_report_opens_through_the_server(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address has the base of a hub and the place below the folder that is served."""
    server = Server("/user/me/", report.parents[1])
    monkeypatch.setattr(links, "find_server", lambda: server)
    html = file_html(report, "report")
    assert 'href="/user/me/files/my%20data/r.html"' in html
    assert 'target="_blank"' in html
    assert "base64" not in html


def test_a_report_elsewhere_can_be_saved(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server does not serve is inside the link, under its name."""
    monkeypatch.setattr(links, "find_server", lambda: Server("/", report.parent / "other"))
    html = file_html(report)
    assert 'download="r.html"' in html
    assert "data:text/html;base64,PHA+YWxsIG9mIGl0PC9wPg==" in html


def test_the_server_is_the_one_that_started_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several servers on a machine, that of this kernel counts; outside a kernel there is
    none."""
    serverapp = pytest.importorskip("jupyter_server.serverapp")
    running = [
        {"pid": 1, "base_url": "/other/", "root_dir": "/other"},
        {"pid": 22, "base_url": "/mine/", "root_dir": "/mine"},
    ]
    monkeypatch.setattr(serverapp, "list_running_servers", lambda: iter(running))
    monkeypatch.setenv(links.PARENT, "22")
    assert find_server() == Server("/mine/", Path("/mine"))
    monkeypatch.setenv(links.PARENT, "333")
    assert find_server() is None
    monkeypatch.delenv(links.PARENT)
    assert find_server() is None


def test_a_call_returns_a_link(data_folder: Path) -> None:
    """`wb.report` is the path, as before, and a notebook shows it as a link."""
    made = wb.report(fake_run("r-00000000", Settings()))
    assert Path(made).read_text().startswith("<!doctype html>")
    assert isinstance(made, ReportFile)
    assert 'download="r-00000000.html"' in made._repr_html_()
