"""A cell is found wherever it was trained, and only there."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from fake_runs import fake_run
from fake_sweeps import Outcomes, small

from workbench.archive.deletion import plan_deletion
from workbench.prepare.corpus import Corpus
from workbench.runs.record import corpus_identity, installed_versions
from workbench.settings import Settings
from workbench.storage.files import Json, read_json, write_json
from workbench.storage.run import Run
from workbench.sweeping import CellState, Sweep, plan_cells, run_sweep
from workbench.sweeping.known_runs import cell_run, run_name
from workbench.sweeping.starting_run import start_settings

ONE = {"axes": {"batch": [8]}, "seeds": [0]}


@pytest.fixture(autouse=True)
def corpus(prepared_tiny: Path, data_folder: Path) -> Path:
    """A data folder with the corpus ``c``; returns the folder of the corpus."""
    folder = data_folder / "corpora" / "c"
    shutil.copytree(prepared_tiny, folder)
    return folder


def trained(name: str, settings: Settings, **how: str) -> Run:
    """Makes a run that was trained on the corpus ``c`` as it is, with the versions of today."""
    run = fake_run(name, settings, **how)
    amend(
        run,
        corpus=corpus_identity(Corpus.open("c")).to_dict(),
        versions=dict(installed_versions()),
    )
    return run


def amend(run: Run, **changes: Json) -> None:
    """Changes the record of a run."""
    write_json(run.folder / "settings.json", {**read_json(run.folder / "settings.json"), **changes})


def cell_of(sweep: Sweep):
    """Returns the only cell of a sweep."""
    (cell,) = sweep.cells()
    return cell


@pytest.mark.parametrize("name", ["other-{cell}-1", "ce-1", "my-model-1"])
def test_a_run_of_any_name_is_the_cell(name: str) -> None:
    """Of another sweep, of a notebook, or of `workbench train`: it is not trained again."""
    sweep = small(**ONE)
    cell = cell_of(sweep)
    run = trained(name.format(cell=cell.id), cell.settings)
    outcomes = Outcomes()
    (planned,) = run_sweep(sweep, executor=outcomes)
    assert planned.run == run
    assert planned.state == CellState.DONE
    assert outcomes.asked == []


def test_the_run_of_the_sweep_itself_comes_first() -> None:
    """So that what a sweep has trained stays its own, whatever is trained later."""
    sweep = small(**ONE)
    cell = cell_of(sweep)
    own = trained(f"{run_name(sweep, cell)}-1", cell.settings, state="stopped")
    trained("ce-1", cell.settings)
    assert cell_run(sweep, cell) == own


def test_what_is_done_comes_before_what_was_stopped() -> None:
    """Names decide nothing but among equals."""
    sweep = small(**ONE)
    cell = cell_of(sweep)
    trained("a-1", cell.settings, state="stopped")
    done = trained("b-1", cell.settings)
    assert cell_run(sweep, cell) == done


@pytest.mark.parametrize(
    "changes",
    [
        {"corpus": {"name": "c", "digest": "1" * 16, "parts": {"lexicon": "2" * 16}}},
        {"corpus": {"name": "d", "digest": "1" * 16}},
        {"versions": {"python": "3.11"}},
        {"parent": {"digest": "0" * 16, "run": "ce-9"}},
        {"parent": {"digest": "0" * 16, "transfer": "ce-9"}},
    ],
    ids=["prepared anew", "another corpus", "former arithmetic", "from a run", "transferred"],
)
def test_a_run_of_something_else_is_not_the_cell(changes: Mapping[str, Json]) -> None:
    """Equal settings are not enough: corpus, arithmetic and start count."""
    sweep = small(**ONE)
    cell = cell_of(sweep)
    run = trained("ce-1", cell.settings)
    assert cell_run(sweep, cell) == run
    amend(run, **changes)
    assert cell_run(sweep, cell) is None


def test_other_settings_are_another_cell() -> None:
    """Those that only add rows too: a sweep that measures drift wants it measured."""
    sweep = small(**ONE)
    cell = cell_of(sweep)
    trained("ce-1", cell.settings.replace(seed=3))
    trained("ce-2", cell.settings.replace(criterion="mmi"))
    assert cell_run(sweep, cell) is None

    mmi = {"criterion": "mmi", "replicas": 2}
    plain = small(name="p", settings=mmi, **ONE)
    run = trained("mmi-1", cell_of(plain).settings)
    measuring = small(name="d", settings={**mmi, "drift_every": 5}, **ONE)
    assert cell_run(plain, cell_of(plain)) == run
    assert cell_run(measuring, cell_of(measuring)) is None


@pytest.mark.parametrize("state", ["failed", "running"])
def test_failed_and_running_ones_are_trained_again(state: str) -> None:
    """Why a run failed may be over by now, and a run that is under way may be stopped."""
    sweep = small(**ONE)
    run = trained("ce-1", cell_of(sweep).settings, state=state)
    path = run.folder / "status.json"
    write_json(path, {**read_json(path), "heartbeat": time.time()})
    assert run.status().state == state
    outcomes = Outcomes()
    run_sweep(sweep, executor=outcomes)
    assert outcomes.asked == ["batch=8 0"]


def test_cells_from_one_run_are_shared() -> None:
    """Two sweeps that start from one run share cells; one from another run shares none."""
    for name in ("ce-1", "ce-2"):
        fake_run(name, Settings())
    first = small(name="first", init="ce-1", **ONE)
    cell = cell_of(first)
    run = trained(f"{run_name(first, cell)}-1", cell.settings, parent="ce-1")
    assert cell_run(small(name="second", init="ce-1", **ONE), cell) == run
    assert cell_run(small(name="third", init="ce-2", **ONE), cell) is None
    assert cell_run(small(name="fourth", init="gone", **ONE), cell) is None


def test_cells_from_a_described_start_are_shared() -> None:
    """A start that a sweep describes is the run that other sweeps name."""
    start = {"epochs": 3.0}
    described = small(name="described", start=start, **ONE)
    cell = cell_of(described)
    trained("ce-1", Settings())
    mine = trained("ce-2", start_settings(described))
    run = trained("mmi-1", cell.settings, parent=mine.name)
    assert cell_run(described, cell) == run


def test_cells_with_rates_to_be_found_have_no_settings_yet() -> None:
    """The rate of a preset is not the one that will be found."""
    sweep = small(rates="auto", **ONE)
    trained("ce-1", cell_of(sweep).settings)
    assert cell_run(sweep, cell_of(sweep)) is None


def test_what_cannot_be_read_is_in_nobodys_way(data_folder: Path, corpus: Path) -> None:
    """Neither a damaged record nor a corpus that is gone keeps a sweep from being planned."""
    sweep = small(**ONE)
    run = trained("ce-1", cell_of(sweep).settings)
    broken = fake_run("broken-1", Settings())
    (broken.folder / "settings.json").write_text("{")
    (data_folder / "runs" / "a-file").write_text("")
    assert [planned.run for planned in plan_cells(sweep)] == [run]
    shutil.rmtree(corpus)
    assert [planned.run for planned in plan_cells(sweep)] == [None]


def test_deletion_names_all_sweeps_that_have_the_run() -> None:
    """Each of them would train it again."""
    for name in ("one", "two"):
        small(name=name, **ONE).save()
    run = trained("ce-1", cell_of(small(**ONE)).settings)
    reasons = " ".join(plan_deletion([run]).reasons)
    assert "is a cell of the sweep one" in reasons
    assert "is a cell of the sweep two" in reasons
