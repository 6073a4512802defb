"""Every notebook runs at the smallest size, and its cells and prose follow the rules."""

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from notebook_files import code_cell, read_notebook

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager
    from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
CLUSTER = [path for path in NOTEBOOKS if "cluster" in path.name]
FRESH = "from workbench.sweeping import rehearsal\nrehearsal.SECONDS = 0.1\n%reset -f"
WITHOUT_PYPLOT = "import matplotlib.pyplot as plt\nassert not plt.get_fignums()"
MEASURED_TIME = r"(took|takes|, \d+ s) (about a (second|minute)|[\d.]+ (s|minutes)|of processor)"
LONGEST_CELL = 5  # lines of code
LOGIC = ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.Try | ast.With


def sources(path: Path, kind: str) -> list[str]:
    """Returns the text of the cells of one kind, "code" or "markdown"."""
    return [cell.source for cell in read_notebook(path).cells if cell.cell_type == kind]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data folder for all notebooks: what one has prepared or trained the next finds."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_DATA", str(folder))
        patch.setenv("WORKBENCH_SIZE", "tiny")
        yield folder


@contextmanager
def start_kernel() -> "Iterator[AsyncKernelManager]":
    """A kernel, as JupyterLab starts it."""
    from jupyter_client import AsyncKernelManager
    from jupyter_core.utils import run_sync

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FOLDER.parent))
        manager = AsyncKernelManager(kernel_name="python3")
        run_sync(manager.start_kernel)(cwd=str(FOLDER))
        try:
            yield manager
        finally:
            run_sync(manager.shutdown_kernel)(now=True)


@pytest.fixture(scope="module")
def kernel(data: Path) -> "Iterator[AsyncKernelManager]":
    """One kernel for many notebooks: starting one takes longer than most of them."""
    with start_kernel() as manager:
        yield manager


class Executed(NamedTuple):
    """What is found in the outputs of a notebook: pictures, and what was written in red."""

    pictures: int
    warnings: list[str]


def execute(notebook: "NotebookNode", kernel: "AsyncKernelManager") -> Executed:
    """Execute all cells; raises the first error."""
    from nbclient import NotebookClient

    client = NotebookClient(notebook, km=kernel, timeout=300)
    try:
        executed = client.execute()
    finally:
        client.kc.stop_channels()

    pictures = 0
    warnings = []
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            pictures += "image/png" in output.get("data", {})
            if output.get("name") == "stderr":
                warnings.append(output.text)
    return Executed(pictures, warnings)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # warnings of Dask and of Jupyter are not ours to mend
@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p not in CLUSTER], ids=lambda p: p.stem)
def test_notebook_runs(path: Path, kernel: "AsyncKernelManager") -> None:
    """Each cell of each notebook runs without an error in a fresh namespace, rehearsals short."""
    notebook = read_notebook(path)
    first = code_cell(FRESH)
    last = code_cell(WITHOUT_PYPLOT)
    notebook.cells = [first, *notebook.cells, last]
    execute(notebook, kernel)


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", CLUSTER, ids=lambda p: p.stem)
def test_notebook_runs_in_a_kernel_of_its_own(path: Path, data: Path) -> None:
    """A notebook that starts processes has its own main module, and shows its pictures.

    Its cluster starts, works and ends without warnings of Dask.
    """
    with start_kernel() as kernel:
        executed = execute(read_notebook(path), kernel)
        assert executed == Executed(3, [])


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
    texts = [cell.source for cell in read_notebook(path).cells]
    theory = next(n for n, text in enumerate(texts) if text.startswith("**Theory.**"))
    opening = "\n".join(texts[:theory])
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", opening)
    assert pictures or "wb.study(" in opening
    for picture in pictures:
        assert (FOLDER / picture).is_file(), picture


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_say_beforehand_how_long_they_take(path: Path) -> None:
    """A time stands in the prose before the first cell that computes."""
    cells = read_notebook(path).cells
    first = next(n for n, cell in enumerate(cells) if cell.cell_type == "code")
    before = "\n".join(cell.source for cell in cells[:first])
    assert re.search(
        r"(takes?|took|[0-9] s) .*(seconds?|minutes?|processor time|quiet cores)", before
    )


def is_path(node: ast.AST) -> bool:
    """Whether an expression is a string that looks like a path."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        return False
    return re.match(r"[~./]*/", node.value) is not None


# What a picture at a small size contradicts, and what the text therefore says or must not say.
QUALIFIED = [
    ("06-sgd-and-asgd-e2", "Where runs differ much in length, the axis is logarithmic"),
    ("06-sgd-and-asgd-e2", "fifty replicas have few utterances each and may end worse"),
    ("07-fetch-interval-e3", "Intervals longer than the whole run never come to a second fetch"),
    ("05-shuffling-e1", "with a triangle at the edge where it leaves the picture"),
    ("00-start-here", "the verdict is *undecided*, whatever the numbers are"),
    ("10-table-1-e6", "at `tiny` every verdict is undecided"),
    ("10-table-1-e6", "errors in percent"),
    ("11-staleness-explorer", "At 0.002 it overshoots"),
    ("13-your-own-data", "use your own folder in its place"),
    ("12-a-real-dask-cluster", "the run returns to its last checkpoint and continues"),
]


@pytest.mark.parametrize("name, sentence", QUALIFIED)
def test_texts_promise_no_more_than_pictures_show(name: str, sentence: str) -> None:
    """Beside each picture stands what it may look like at the size that is run by default."""
    assert sentence in " ".join(sources(FOLDER / f"{name}.ipynb", "markdown"))


# Questions that are answered by training something, and the call that does it.
TRAINING_QUESTIONS = [
    ("00-start-here", "settings.replace(seed=1)"),
    ("02-cross-entropy", 'lab.train("no-decay", decays=0)'),
    ("03-lattices-and-the-mmi-gradient", 'lab.train("rejecting", criterion="mmi", rejection=0.01)'),
    ("05-shuffling-e1", 'wb.sweep(lab.recipe("e1-shuffling", name="batches", axes='),
    ("06-sgd-and-asgd-e2", "settings.replace(learning_rate=...)"),
]


@pytest.mark.parametrize("name, call", TRAINING_QUESTIONS)
def test_a_question_that_wants_a_run_says_how(name: str, call: str) -> None:
    """Who is to train or sweep something need not search other notebooks for how."""
    question = sources(FOLDER / f"{name}.ipynb", "markdown")[-1]
    assert question.startswith("**A question.**")
    assert call in question


def test_texts_name_the_method_of_verdicts() -> None:
    """Verdicts rest on the jackknife over speakers, so no text speaks of a bootstrap."""
    texts = {path.stem: " ".join(sources(path, "markdown")).lower() for path in NOTEBOOKS}
    assert [name for name, text in texts.items() if "bootstrap" in text] == []
    assert "jackknife" in texts["10-table-1-e6"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_have_explanations_and_no_outputs(path: Path) -> None:
    """The prose explains how to read the pictures; outputs are not kept in the repository."""
    assert "**How to read this.**" in "\n".join(sources(path, "markdown"))
    for cell in read_notebook(path).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
