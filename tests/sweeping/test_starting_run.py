"""The run that a sweep starts from is found again."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runs import fake_run
from fake_sweeps import Outcomes, small

from workbench.prepare.corpus import Corpus
from workbench.runs import Transfer
from workbench.settings import Settings, UserError, preset
from workbench.settings.experiment import LATER
from workbench.storage.files import read_json, write_json
from workbench.storage.run import Run, newest_run
from workbench.sweeping import CellState, Sweep, plan_cells, run_sweep, starting_run
from workbench.sweeping.known_runs import cell_run, run_name
from workbench.sweeping.plan import plan_cell
from workbench.sweeping.starting_run import find_start, start_prefix, start_settings


def test_a_start_is_found_by_the_folder_of_its_corpus(data_folder: Path) -> None:
    """A corpus that is given by its folder is the one that the record of a run names so."""
    elsewhere = str(data_folder / "elsewhere" / "c")
    sweep = Sweep("s", elsewhere, preset="tiny", start={"epochs": 3.0})
    run = fake_run("ce-c-0", preset("tiny", epochs=3.0), corpus="c")
    assert find_start(sweep) is None
    record = read_json(run.folder / "settings.json")
    record["corpus"]["folder"] = elsewhere
    write_json(run.folder / "settings.json", record)
    assert find_start(sweep) == run


def test_a_start_from_before_a_setting_existed_is_found(data_folder: Path) -> None:
    """Its record lacks the setting, so it had the default."""
    sweep = Sweep("s", "c", preset="tiny", start={"epochs": 3.0})
    run = fake_run("ce-c-0", preset("tiny", epochs=3.0))
    record = read_json(run.folder / "settings.json")
    for name in LATER:
        del record["settings"][name]
    write_json(run.folder / "settings.json", record)
    assert find_start(sweep) == run
    assert find_start(replace(sweep, start={"epochs": 3.0, "drift_every": 9})) is None


@pytest.fixture
def begun(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, str]]:
    """Corpus, seed and source of the hidden layers of each start that is trained; two corpora."""
    for name in ("c", "d"):
        (data_folder / "corpora" / name).mkdir(parents=True)
        (data_folder / "corpora" / name / "corpus.json").write_text("{}")
    trained: list[tuple[str, int, str]] = []

    def train_or_resume(
        existing: Run | None,
        corpus: Corpus,
        settings: Settings,
        *,
        name: str,
        init: Transfer | None,
        **how: object,
    ) -> Run:
        if existing is not None:
            return existing
        trained.append((corpus.name, settings.seed, init.run.record.corpus.name if init else ""))
        run = fake_run(f"{name}-0", settings, corpus=corpus.name)
        if init:
            record = read_json(run.folder / "settings.json")
            record["parent"] = {"digest": "0" * 16, "transfer": init.run.name}
            write_json(run.folder / "settings.json", record)
        return run

    monkeypatch.setattr(starting_run.runs, "train_or_resume", train_or_resume)
    return trained


class Given(Outcomes):
    """Notes which run the cells of each seed start from."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: dict[int, set[str | None]] = {}

    def submit(self, function, sweep: Sweep, cell_id: str, data: str):
        """As Outcomes."""
        cell = next(c for c in sweep.cells() if c.id == cell_id)
        self.starts.setdefault(cell.seed, set()).add(sweep.init)
        return super().submit(function, sweep, cell_id, data)


def test_each_seed_has_a_start_of_its_own(begun: list[tuple[str, int, str]]) -> None:
    """Cells start from the start of their seed, and no start is trained twice."""
    given = Given()
    sweep = small(start={"epochs": 3.0}, start_per_seed=True)
    run_sweep(sweep, executor=given)
    run_sweep(small(name="again", start={"epochs": 3.0}, start_per_seed=True), executor=given)
    assert begun == [("c", 0, ""), ("c", 1, "")]
    found = [find_start(sweep, seed) for seed in (0, 1)]
    assert given.starts == {seed: {run.name} for seed, run in enumerate(found) if run}


def test_a_start_takes_over_hidden_layers(begun: list[tuple[str, int, str]]) -> None:
    """With ``transfer`` the start on the other corpus is trained first; both starts are kept."""
    sweep = small(start={"epochs": 3.0}, start_per_seed=True, transfer="d", seeds=[0])
    run_sweep(sweep, executor=Outcomes())
    assert begun == [("d", 0, ""), ("c", 0, "d")]
    run_sweep(small(name="t", start={"epochs": 3.0}, start_per_seed=True), executor=Outcomes())
    assert begun[2:] == [("c", 0, ""), ("c", 1, "")]
    with pytest.raises(UserError, match="need start"):
        small(transfer="d")


def test_a_start_that_took_over_layers_is_no_cell_of_a_sweep_from_scratch(
    begun: list[tuple[str, int, str]],
) -> None:
    """A sweep whose cells are called like starts finds the one from scratch, though that is older
    than one of the same settings that began from the layers of another corpus.
    """
    given = {"start": {"epochs": 3.0}, "start_per_seed": True, "seeds": [0]}
    scratch = small(**given)
    run_sweep(scratch, executor=Outcomes())
    run_sweep(small(name="t", transfer="d", **given), executor=Outcomes())
    assert begun == [("c", 0, ""), ("d", 0, ""), ("c", 0, "d")]
    found = newest_run(f"{start_prefix('c')}-{start_settings(scratch, 0).digest()}")
    assert found is not None and found.record.parent is None
    assert found == find_start(scratch, 0)


def test_a_cell_is_no_run_of_its_name_that_began_from_something_else(
    begun: list[tuple[str, int, str]],
) -> None:
    """Starts that took over hidden layers were once called like cells of a sweep from scratch."""
    scratch = small(axes={}, seeds=[0])
    cell = scratch.cells()[0]
    transferred = fake_run(f"{run_name(scratch, cell)}-1", cell.settings)
    record = read_json(transferred.folder / "settings.json")
    record["parent"] = {"digest": "0" * 16, "transfer": "ce-d-0"}
    write_json(transferred.folder / "settings.json", record)
    assert plan_cell(scratch, cell).state == CellState.MISSING
    assert cell_run(scratch, cell) is None

    run_sweep(scratch, executor=Outcomes())
    newer = transferred.folder / "settings.json"
    os.utime(newer, (newer.stat().st_atime, newer.stat().st_mtime + 60))
    assert newest_run(run_name(scratch, cell)) == transferred
    found = plan_cell(scratch, cell).run
    assert found is not None and found.record.parent is None
    assert cell_run(scratch, cell) == found


def test_a_cell_that_begins_from_a_run_is_none_that_began_from_nothing(data_folder: Path) -> None:
    """Nor one that took over hidden layers: cells take over all of a model."""
    sweep = small(axes={}, seeds=[0], init="ce")
    cell = sweep.cells()[0]
    run = fake_run(f"{run_name(sweep, cell)}-1", cell.settings)
    assert cell_run(sweep, cell) is None
    for parent, found in (({"transfer": "ce"}, None), ({"run": "ce"}, run)):
        record = read_json(run.folder / "settings.json")
        record["parent"] = {"digest": "0" * 16, **parent}
        write_json(run.folder / "settings.json", record)
        assert cell_run(sweep, cell) == found


def test_sweeps_with_one_prefix_share_their_cells(data_folder: Path) -> None:
    """What one sweep has run is done in another with the same prefix, and not run again."""
    outcomes = Outcomes()
    run_sweep(small(run_prefix="shared", seeds=[0]), executor=outcomes)
    other = small(name="other", run_prefix="shared", axes={"shuffling": ["full", "on-the-fly"]})
    run_sweep(other, executor=outcomes, seeds=[0])
    assert outcomes.asked == ["shuffling=none 0", "shuffling=full 0", "shuffling=on-the-fly 0"]
    states = {(c.cell.seed, c.state) for c in plan_cells(other)}
    assert states == {(0, CellState.DONE), (1, CellState.MISSING)}
