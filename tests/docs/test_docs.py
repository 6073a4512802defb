"""The documentation: it builds without a warning, asks no network, and what it shows can be run."""

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sources import ROOT
from toy import Toy, settings

from workbench.cli.main import COMMANDS, command_parser, load
from workbench.docs import rooms
from workbench.engine import Cost, load_machine
from workbench.settings import Settings

DOCS = ROOT / "workbench/docs"
WRITTEN = sorted(p for p in DOCS.glob("*.md") if p.name not in ("settings.md", "notebook.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *WRITTEN]
COMMAND = re.compile(r"^ {4}(workbench .+)$", re.MULTILINE)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, rendered; Sphinx fails at the first warning, so the links within it hold."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(DOCS), str(out)]
    subprocess.run(command, check=True, cwd=ROOT)
    return out


@pytest.mark.slow
def test_the_site_asks_no_network(site: Path) -> None:
    """No page loads a style, script, font or picture from elsewhere."""
    pages = list(site.glob("*.html"))
    assert {"index.html", "method.html", "settings.html", "notebook.html"} <= {
        p.name for p in pages
    }
    loads = re.compile(r"<(?:script|link|img)[^>]*(?:src|href)=\"(?:https?:)?//")
    assert [p.name for p in pages if loads.search(p.read_text())] == []


@pytest.mark.slow
def test_equations_are_rendered(site: Path) -> None:
    """The method's equations are MathML, and none is left as TeX."""
    text = (site / "method.html").read_text()
    assert text.count("<math") > 40
    assert "\\frac" not in re.sub(r"<annotation.*?</annotation>", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page names a file that is there."""
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_can_be_given(page: Path) -> None:
    """Every `workbench` command that a page shows is understood, settings included."""
    for line in COMMAND.findall(page.read_text()):
        words = shlex.split(re.split(r" {3,}| #", line)[0])[1:]
        if words[0].startswith("-"):
            continue
        assert words[0] in COMMANDS, line
        command = load(words[0])
        options = command.Options(**vars(command_parser(words[0], command).parse_args(words[1:])))
        if words[0] == "train" and options.corpus:
            assert options.settings, line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_names_of_the_notebook_exist(page: Path) -> None:
    """Every Python block is Python, and what it takes from ``workbench.notebook`` is there."""
    import workbench.notebook as wb

    for block in PYTHON.findall(page.read_text()):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "wb":
                assert hasattr(wb, node.attr), f"wb.{node.attr}"


def test_the_glossary_has_every_term() -> None:
    """The field's terms that code and docs use stand in the glossary, in alphabetical order."""
    terms = re.findall(r"^\*\*(.+?)\*\*", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)
    wanted = {"replica", "parameter server", "shard", "decoder", "lattice", "numerator"}
    wanted |= {"denominator", "outer gradient", "staleness", "criterion", "shuffling"}
    assert wanted <= set(terms)


def test_architecture_names_files_that_are_there() -> None:
    """Every file that ARCHITECTURE.md names exists, in the package or the repository."""
    text = (ROOT / "workbench/ARCHITECTURE.md").read_text()
    named = set(re.findall(r"`([\w./]+\.(?:py|md))`", text))
    assert len(named) > 20
    assert [
        n for n in named if not (ROOT / "workbench" / n).exists() and not (ROOT / n).exists()
    ] == []


def test_the_picture_of_the_rooms_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture has every room, and an arrow from each room to every room that it imports."""
    monkeypatch.chdir(ROOT)
    drawn = rooms.PICTURE.read_text()
    pairs = [pair for pair in rooms.imports() if set(pair) <= set(rooms.rooms())]
    assert all(f"<!-- {name} -->" in drawn for name in rooms.rooms())
    assert drawn.count(f'id="{rooms.ARROW}') == len(pairs)


def test_the_extensions_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cells of extending.md run in order; then a network trains with what they add."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    names: dict[str, object] = {}
    for block in PYTHON.findall((DOCS / "extending.md").read_text()):
        exec(block, names)

    clock = Cost(load_machine(str(tmp_path / "machines/heavy-tail.json")), seed=1)
    changes = {"optimizer": "nesterov", "shuffling": "within-utterances", "replicas": 3}
    theta, rows, _, _ = Toy().run(settings(**changes), clock)
    assert np.isfinite(theta).all()
    assert len(rows) > 20
    assert Settings.of(criterion="speech-frames").criterion.name == "speech-frames"
