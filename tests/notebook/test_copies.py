"""Copies of the notebooks: what the user wrote stays, and what only ran follows the original."""

from pathlib import Path

import pytest
from notebook_files import code_cell, read_notebook, text_cell, write_notebook

from workbench.notebook.copies import copy_notebooks


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one notebook that shows a result."""
    folder = tmp_path / "checkout"
    (folder / "notebooks" / "images").mkdir(parents=True)
    (folder / "data" / "results").mkdir(parents=True)
    (folder / "data" / "results" / "RESULTS.md").write_text("found")
    write(folder / "notebooks" / "00-a.ipynb", "[all](../data/results/RESULTS.md)")
    return folder


def write(path: Path, text: str, output: str = "") -> None:
    """Writes a notebook with a cell of text, and one of code with an output."""
    write_notebook(path, [text_cell(text), code_cell("1 + 1", output)])


def first_text(path: Path) -> str:
    """Returns the text of a notebook's first cell."""
    return read_notebook(path).cells[0].source


def test_a_copy_finds_the_results(checkout: Path, tmp_path: Path) -> None:
    """Its links lead to the results beside it, which are there."""
    made = copy_notebooks(checkout, tmp_path / "data")
    assert first_text(made.folder / "00-a.ipynb") == "[all](results/RESULTS.md)"
    assert (made.folder / "results/RESULTS.md").read_text() == "found"


def test_the_users_own_results_stay(checkout: Path, tmp_path: Path) -> None:
    """What the user's studies have found is kept apart from what the checkout shows."""
    shown = checkout / "data" / "results" / "studies" / "e1.json"
    own = tmp_path / "data" / "results" / "studies" / "e1.json"
    for path, text in ((shown, "of the checkout"), (own, "of the user")):
        path.parent.mkdir(parents=True)
        path.write_text(text)
    made = copy_notebooks(checkout, tmp_path / "data")
    assert own.read_text() == "of the user"
    assert (made.folder / "results/studies/e1.json").read_text() == "of the checkout"


def test_a_notebook_that_only_ran_follows_its_original(checkout: Path, tmp_path: Path) -> None:
    """Outputs are no edits; they are kept until a newer original comes."""
    copy = copy_notebooks(checkout, tmp_path / "data").folder / "00-a.ipynb"
    write(copy, first_text(copy), output="2")
    copy_notebooks(checkout, tmp_path / "data")
    assert read_notebook(copy).cells[1].outputs
    write(checkout / "notebooks" / "00-a.ipynb", "newer")
    assert copy_notebooks(checkout, tmp_path / "data").beside == ()
    assert first_text(copy) == "newer"


def test_what_the_user_wrote_stays(checkout: Path, tmp_path: Path) -> None:
    """An edited copy is not touched; a newer original stands beside it and is named."""
    copy = copy_notebooks(checkout, tmp_path / "data").folder / "00-a.ipynb"
    write(copy, "my own words")
    assert copy_notebooks(checkout, tmp_path / "data").beside == ()
    write(checkout / "notebooks" / "00-a.ipynb", "newer")
    made = copy_notebooks(checkout, tmp_path / "data")
    assert made.beside == ("00-a-new.ipynb",)
    assert first_text(copy) == "my own words"
    assert first_text(made.folder / "00-a-new.ipynb") == "newer"


def test_what_the_user_wrote_into_the_newer_one_stays(checkout: Path, tmp_path: Path) -> None:
    """The newer notebook follows its original while it only runs, and stays once it is edited.

    What comes after that is written under the next free name, which follows the original then.
    """
    original = checkout / "notebooks" / "00-a.ipynb"
    copy = copy_notebooks(checkout, tmp_path / "data").folder / "00-a.ipynb"
    newer = copy.with_name("00-a-new.ipynb")
    write(copy, "my own words")
    for text in ("second", "third"):
        write(original, text)
        copy_notebooks(checkout, tmp_path / "data")
        assert first_text(newer) == text

    write(newer, "my words in the newer one")
    assert copy_notebooks(checkout, tmp_path / "data").beside == ("00-a-new.ipynb",)
    next_one = copy.with_name("00-a-new-2.ipynb")
    assert not next_one.exists()
    for text in ("fourth", "fifth"):
        write(original, text)
        assert copy_notebooks(checkout, tmp_path / "data").beside == ("00-a-new-2.ipynb",)
        assert first_text(next_one) == text

    write(next_one, "my words in the second newer one")
    write(original, "sixth")
    for _ in range(2):
        assert copy_notebooks(checkout, tmp_path / "data").beside == ("00-a-new-3.ipynb",)
    assert first_text(copy.with_name("00-a-new-3.ipynb")) == "sixth"
    assert first_text(next_one) == "my words in the second newer one"
    assert first_text(newer) == "my words in the newer one"
    assert first_text(copy) == "my own words"
