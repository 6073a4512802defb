"""One rule for the names of corpora, runs, sweeps and machines, wherever a name enters."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench.notebook as wb
from workbench import runs
from workbench.prepare import pipeline
from workbench.prepare.corpus import Corpus
from workbench.recognise.realign import realign
from workbench.runs import launch
from workbench.settings import LONGEST_NAME, Settings, UserError, check_name
from workbench.storage.run import CorpusIdentity, Run, RunRecord, RunState, find_run, newest_run
from workbench.storage.run_writer import RunWriter
from workbench.sweeping import Sweep, find_sweep

BAD = [
    *("", ".", "..", "../x", "../../esc", "/dev/shm/x", "a/b", "a\\b", ".hidden", "-rf", "*", "?"),
    *(
        "a b",
        "a\nb",
        "a\0b",
        "a\tb",
        "tab\t",
        "\u202eabc",
        "\udc80",
        "é",
        "名",
        "a:b",
        "~",
        "$HOME",
    ),
    *("<img src=x>", "=HYPERLINK(1)", "@x", "+1", "a;b", "'", '"', "a|b", "x" * 101, "y" * 300),
]


@pytest.mark.parametrize("name", ["a", "A-1.b_c", "_x", "0", "x" * LONGEST_NAME])
def test_plain_names_are_taken(name: str) -> None:
    """Letters, digits, dots, dashes and underscores, up to the longest name."""
    assert check_name("run", name) == name


@pytest.mark.parametrize("name", BAD)
def test_other_names_are_refused_wherever_they_enter(name: str, data_folder: Path) -> None:
    """Runs, corpora, sweeps, machines and detached runs refuse the same names, and make nothing."""
    corpus = Corpus(data_folder / "corpora" / "c")
    record = RunRecord(Settings().to_dict(), CorpusIdentity("c", "0"))
    doors = [
        lambda: check_name("run", name),
        lambda: RunWriter.create(data_folder / "runs", name, record),
        lambda: launch.launch_run("c", Settings(), name),
        lambda: launch.launch_and_wait(["train", "c"], name),
        lambda: pipeline.prepare(name, pipeline.Source(synthetic="is"), pipeline.Preparation()),
        lambda: realign(Run(data_folder / "runs" / "r"), name),
        lambda: Sweep(name=name, corpus="c"),
        lambda: wb.define_machine(name),
    ]
    if name:  # without one, a run has the name of its criterion
        doors.append(lambda: runs.train(corpus, Settings(), name=name))
    for enter in doors:
        with pytest.raises(UserError, match="cannot name a") as refused:
            enter()
        assert str(refused.value).isprintable()
    assert list(data_folder.rglob("*")) == []


@pytest.mark.parametrize("name", BAD)
def test_no_name_is_too_odd_to_be_looked_for(name: str, data_folder: Path) -> None:
    """To look for something under an odd name is a UserError, or finds a folder that exists."""
    for find in (find_sweep, find_run, Corpus.open):
        with pytest.raises(UserError, match=r"no such|damaged"):
            find(name)
    assert newest_run(name) is None


@pytest.mark.slow
@given(st.text(max_size=120))
def test_no_name_leaves_its_folder(name: str) -> None:
    """Whatever is accepted is one plain part of a path."""
    try:
        check_name("run", name)
    except UserError:
        return
    assert Path("runs", name).resolve().parent == Path("runs").resolve()
    assert not name.startswith((".", "-"))


def test_what_has_an_older_name_can_be_read(data_folder: Path) -> None:
    """Runs that were made before there was a rule are found and read."""
    folder = data_folder / "runs" / "mein Lauf ß-0123abcd"
    writer = RunWriter.create(
        data_folder / "runs", "a", RunRecord(Settings().to_dict(), CorpusIdentity("c", "0"))
    )
    writer.close(RunState.DONE)
    writer.run.folder.rename(folder)
    assert find_run("mein Lauf ß").settings == Settings()
    assert newest_run("mein Lauf ß") == Run(folder)
    assert newest_run("*") is None


def test_a_sweep_leaves_room_for_the_ids_of_its_cells() -> None:
    """The longest name of a sweep gives its runs names that are not too long."""
    longest = Sweep(name="x" * 89, corpus="c")
    check_name("run", f"{longest.name}-{longest.cells()[0].id}")
    with pytest.raises(UserError, match="at most 89"):
        Sweep(name="x" * 90, corpus="c")
