"""The project's own files as the tests of form read them: modules by name, their trees, what they
import.
"""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = ("workbench", "tests", "notebooks", "data/results", ".ci")  # what git tracks
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Import:
    """One name that a module imports: ``module`` as written in full, ``line``, and whether it runs
    at import.
    """

    module: str
    line: int
    at_import: bool


@dataclass(frozen=True)
class Module:
    """One Python file of the package or the tests."""

    path: Path

    @property
    def name(self) -> str:
        """Dotted, ``workbench.hmm.graphs.k2_fsa``; a folder's door has the folder's name."""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    @property
    def unit(self) -> str:
        """The part of the package it belongs to: ``hmm``, ``settings``; empty for the package's own
        door.
        """
        return (self.name.split(".") + [""])[1]

    @functools.cached_property
    def text(self) -> str:
        return self.path.read_text()

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @functools.cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import of the file, wherever it stands, but those for type checkers alone."""
        return tuple(_imports(self.tree, at_import=True))

    def where(self, line: int) -> str:
        """``path:line`` for a message."""
        return f"{self.path.relative_to(ROOT)}:{line}"


@functools.cache
def package() -> list[Module]:
    """The modules of the package."""
    return [Module(p) for p in sorted((ROOT / "workbench").rglob("*.py"))]


@functools.cache
def suite() -> list[Module]:
    """The modules of the tests and benchmarks."""
    return [Module(p) for p in sorted((ROOT / "tests").rglob("*.py"))]


def texts() -> Iterator[tuple[Path, str]]:
    """Path and text of every file that belongs to the project and is text."""
    top = [p for p in ROOT.iterdir() if p.is_file() and p.name != ".git"]
    below = [
        p
        for folder in KEPT
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and not LEFT_OUT & {*p.parts}
    ]
    for path in sorted(top + below):
        try:
            yield path, path.read_text()
        except UnicodeDecodeError:  # an image or an array
            continue


def _imports(node: ast.AST, at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_import) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (
                Import(f"{child.module}.{alias.name}", child.lineno, at_import)
                for alias in child.names
            )
        inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _imports(child, at_import and not inside)
