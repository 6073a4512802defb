"""Size and manners of every file: short, named for what it holds, at home on any machine."""

import ast
import json
import re
import subprocess
from collections.abc import Iterator

import pytest
from sources import ROOT, Module, package, suite, texts

LONGEST_FILE = 450
LONGEST_FUNCTION = 60
LANDFILLS = {
    "utils",
    "util",
    "helpers",
    "common",
    "base",
    "misc",
    "manager",
    "managers",
    "registry",
    "core",
}
MACHINE_PATH = re.compile(r"(?<![\w.}/~-])/(?:home|root|work|Users|mnt|srv|opt|scratch)/\w")
HOST = re.compile(r"(?:[\w-]+\.)+(?:org|io)\b")
KNOWN_HOSTS = {
    *("www.w3.org", "purl.org", "creativecommons.org", "matplotlib.org"),  # in pictures
    "k2-fsa.github.io",  # in the environment: nobody mirrors the wheels of k2
    "example.org",
}
TOP_LEVEL = {
    *("notebooks", "workbench", "data", "tests", "environment.yml", "README.md"),
    *("pyproject.toml", "requirements.lock", "Makefile", "LICENSE", "NOTICE"),
    *("requirements-cpu.lock", "requirements-cuda.lock", "requirements-k2.lock"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff"),
}
MADE_BY_TOOLS = {"workbench.egg-info", "build", "dist"}


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, methods and inner ones too."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    yield from (node for node in ast.walk(module.tree) if isinstance(node, kinds))


def test_files_are_short() -> None:
    """No file of code has more than 450 lines."""
    long = {m.where(1): n for m in package() + suite() if (n := m.text.count("\n")) > LONGEST_FILE}
    assert long == {}


@pytest.mark.slow
def test_functions_are_short() -> None:
    """No function has more than 60 lines."""
    every = ((m, f) for m in package() + suite() for f in functions(m))
    assert [
        m.where(f.lineno) for m, f in every if (f.end_lineno or 0) - f.lineno >= LONGEST_FUNCTION
    ] == []


def test_no_landfills() -> None:
    """No file is named so that anything may go into it; a function lives with the thing it is
    about.
    """
    assert [m.where(1) for m in package() + suite() if m.path.stem in LANDFILLS] == []


def test_modules_say_what_they_are() -> None:
    """Every module of the package begins with a docstring."""
    assert [m.where(1) for m in package() if m.text.strip() and not ast.get_docstring(m.tree)] == []


def test_public_functions_say_what_they_do() -> None:
    """Every public function and class of the package that is not a command of the shell has a
    docstring.
    """
    silent = []
    for module in package():
        for node in module.tree.body:
            named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            )
            if named and module.unit != "cli" and not ast.get_docstring(node):
                silent.append(f"{module.where(node.lineno)} {node.name}")
    assert silent == []


def test_tests_state_their_law() -> None:
    """Every test has a docstring: the law that it holds."""
    every = [(m, f) for m in suite() for f in functions(m) if f.name.startswith("test_")]
    assert [m.where(f.lineno) for m, f in every if not ast.get_docstring(f)] == []


def test_no_path_of_one_machine() -> None:
    """No file names a folder that only one machine has."""
    assert [
        f"{path.name}: {hit[0]}" for path, text in texts() if (hit := MACHINE_PATH.search(text))
    ] == []


def test_no_registry_is_named() -> None:
    """No file names a host that is not known: mirrors and closed networks are common."""
    found = {path.name: hosts for path, text in texts() if (hosts := unknown_hosts(text))}
    assert found == {}


def unknown_hosts(text: str) -> set[str]:
    """The hosts that a text names, but for those that are known."""
    return set(HOST.findall(text)) - KNOWN_HOSTS


def test_top_level_holds_what_it_should() -> None:
    """At the top there are the six things of the design and what tools demand, nothing else."""
    there = {p.name for p in ROOT.iterdir() if not p.name.startswith(".")}
    assert there <= TOP_LEVEL | MADE_BY_TOOLS


def test_only_results_are_kept_of_the_data() -> None:
    """What the workbench makes under data is ignored, whatever folder it is in."""
    made = ["data/corpora/a/corpus.json", "data/runs/a/record.json", "data/elsewhere/report.html"]
    kept = "data/results/RESULTS.md"
    command = ["git", "check-ignore", "--no-index", *made, kept]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if asked.returncode > 1:
        pytest.skip("not a checkout of git")
    assert asked.stdout.split() == made


def test_notebooks_are_clean() -> None:
    """Notebooks are kept without outputs and counts, which would hide changes and grow the
    history.
    """
    for path in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
            dirty = [c for c in cells if c.get("outputs") or c.get("execution_count") is not None]
            assert not dirty, path.name


def test_the_patterns_see() -> None:
    """The two searches above find what they are for, and leave addresses of the web and commands
    alone.
    """
    path = "/".join(["", "home", "me", "x"])
    assert MACHINE_PATH.search(f"open('{path}')")
    for before in ("https://example.org", "data", "~"):
        assert not MACHINE_PATH.search(f"{before}{path}")
    harmless = (
        ["https:", "", "example.org", "work", "x"],
        ["#!", "usr", "bin", "env"],
        ["data", "tmp", "x"],
    )
    for parts in harmless:
        assert not MACHINE_PATH.search("/".join(parts))

    for ending in ("org", "io"):
        host = ".".join(["packages", "some-registry", ending])
        for text in (f"https://{host}/simple", f"*.{host}", f"--index={host}"):
            assert unknown_hosts(text) == {host}
    assert unknown_hosts("https://example.org/x file.organised study.iota") == set()
