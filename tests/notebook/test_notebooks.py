"""Every notebook runs at the smallest size, and its cells and prose follow the rules."""

import ast
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
# A notebook that starts processes needs the main module of a kernel.
KERNEL = [path for path in NOTEBOOKS if "cluster" in path.name]
LONGEST_CELL = 5  # lines of code
LOGIC = ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.Try | ast.With


def sources(path: Path, kind: str) -> list[str]:
    """Returns the text of the cells of one kind, "code" or "markdown"."""
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == kind]


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
    # IPython replaces the main module, which processes that are started later look at.
    main = sys.modules["__main__"]
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
    for cell in sources(path, "code"):
        result = shell.run_cell(cell, store_history=False)
        problem = result.error_before_exec or result.error_in_exec
        assert result.success, f"{path.name}: {cell}\n{problem!r}"
    assert matplotlib.get_backend() == backend, "a cell went through pyplot"


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", KERNEL, ids=lambda p: p.stem)
def test_notebook_runs_in_a_kernel(path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that starts processes runs in a real kernel, and shows its pictures."""
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    client = NotebookClient(nbformat.read(path, 4), timeout=300, kernel_name="python3")
    executed = client.execute()
    pictures = 0

    for cell in executed.cells:
        for output in cell.get("outputs", []):
            pictures += "image/png" in output.get("data", {})
    assert pictures == 3


def test_notebooks_are_numbered_in_reading_order() -> None:
    """Numbers are two digits without gaps or doubles, and the title of each begins with its own."""
    numbers = [int(path.name[:2]) for path in NOTEBOOKS]
    assert numbers == list(range(len(NOTEBOOKS)))
    for number, path in zip(numbers, NOTEBOOKS, strict=True):
        title = sources(path, "markdown")[0].splitlines()[0]
        assert title.startswith(f"# {number}. "), path.name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_hold_no_logic(path: Path) -> None:
    """Cells are short calls, without functions, classes, loops, paths or magics."""
    for cell in sources(path, "code"):
        assert len(cell.splitlines()) <= LONGEST_CELL, cell
        assert not cell.lstrip().startswith(("%", "!"))
        for node in ast.walk(ast.parse(cell)):
            assert not isinstance(node, LOGIC), ast.unparse(node)
            assert not is_path(node), ast.unparse(node)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_have_theory_and_a_question(path: Path) -> None:
    """Each has one paragraph of theory with an equation, and ends with one question."""
    prose = sources(path, "markdown")
    theory = [text for text in prose if text.startswith("**Theory.**")]
    assert len(theory) == 1
    assert re.search(r"\$[^$]+\$", theory[0])
    assert [text.startswith("**A question.**") for text in prose].count(True) == 1
    assert prose[-1].startswith("**A question.**")
    for number in re.findall(r"[Nn]otebooks? (\d+)", "\n".join(prose)):
        assert int(number) < len(NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_open_with_what_is_known(path: Path) -> None:
    """Before the theory there is a picture that the repository has, or what is kept of a study."""
    texts = [cell.source for cell in nbformat.read(path, 4).cells]
    theory = next(n for n, text in enumerate(texts) if text.startswith("**Theory.**"))
    opening = "\n".join(texts[:theory])
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", opening)
    assert pictures or "wb.study(" in opening
    for picture in pictures:
        assert (FOLDER / picture).is_file(), picture


def is_path(node: ast.AST) -> bool:
    """Whether an expression is a string that looks like a path."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return re.match(r"[~./]*/", node.value) is not None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_have_explanations_and_no_outputs(path: Path) -> None:
    """The prose explains how to read the pictures; outputs are not kept in the repository."""
    assert "**How to read this.**" in "\n".join(sources(path, "markdown"))
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
