"""Every notebook runs at the smallest size, and its cells and prose follow the rules."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
KERNEL = [
    p for p in NOTEBOOKS if "cluster" in p.name
]  # starts processes, which only a kernel's main module allows


def code(path: Path) -> list[str]:
    """The code cells of a notebook."""
    cells = json.loads(path.read_text())["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data folder for all notebooks: what one has prepared or trained the next finds."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(folder))
        patch.setenv("WORKBENCH_SIZE", "tiny")
        yield folder


@pytest.fixture(scope="module")
def shell() -> Iterator[InteractiveShell]:
    """IPython without a kernel: a kernel per notebook would take longer than the notebooks."""
    main = sys.modules[
        "__main__"
    ]  # which IPython takes the place of, and processes that are started later look at
    made = InteractiveShell.instance()
    yield made
    InteractiveShell.clear_instance()
    sys.modules["__main__"] = main


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # warnings of Dask and of Jupyter are not ours to mend
@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p not in KERNEL], ids=lambda p: p.stem)
def test_notebook_runs(
    path: Path, data: Path, shell: InteractiveShell, capsys: pytest.CaptureFixture
) -> None:
    """Each cell of each notebook runs without an error in a fresh namespace."""
    shell.reset(new_session=False)
    backend = matplotlib.get_backend()
    for cell in code(path):
        result = shell.run_cell(cell, store_history=False)
        assert result.success, (
            f"{path.name}: {cell}\n{result.error_before_exec or result.error_in_exec!r}"
        )
    assert matplotlib.get_backend() == backend, "a cell went through pyplot"


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", KERNEL, ids=lambda p: p.stem)
def test_notebook_runs_in_a_kernel(path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that starts processes runs in a real kernel, and shows its pictures."""
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    ran = NotebookClient(nbformat.read(path, 4), timeout=120, kernel_name="python3").execute()
    shown = [
        o
        for c in ran.cells
        if c.cell_type == "code"
        for o in c.outputs
        if "image/png" in o.get("data", {})
    ]
    assert len(shown) == 2


def test_notebooks_are_numbered_in_reading_order() -> None:
    """Numbers are two digits without gaps or doubles, and the title of each begins with its own."""
    numbers = [int(p.name[:2]) for p in NOTEBOOKS]
    assert numbers == list(range(1, len(NOTEBOOKS) + 1))
    for number, path in zip(numbers, NOTEBOOKS, strict=True):
        title = "".join(nbformat.read(path, 4).cells[0].source).splitlines()[0]
        assert title.startswith(f"# {number}. "), path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_hold_no_logic(path: Path) -> None:
    """Cells are short calls, without functions, classes, loops, paths or magics.

    The prose explains how to read the pictures.
    """
    for cell in code(path):
        assert len(cell.splitlines()) <= 15 and not cell.lstrip().startswith(("%", "!"))
        for node in ast.walk(ast.parse(cell)):
            assert not isinstance(
                node, ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.Try | ast.With
            )
            is_path = (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.match(r"[~./]*/", node.value)
            )
            assert not is_path, f"{path.name}: {ast.unparse(node)}"
    prose = "\n".join(
        "".join(c.source) for c in nbformat.read(path, 4).cells if c.cell_type == "markdown"
    )
    assert "**How to read this.**" in prose
