"""Sweeps: their cells, what is run and recorded, and what is concluded."""

import dataclasses
import json
import os
from concurrent.futures import Future
from pathlib import Path
from typing import get_type_hints

import pandas as pd
import pytest
from fake_runs import fake_run
from fake_sweeps import Outcomes, small

from workbench.prepare.corpus import Corpus
from workbench.runs import stop
from workbench.settings import Settings, UserError, preset
from workbench.storage.lock import hold_lock
from workbench.storage.rate_search import RateSearch
from workbench.storage.run import Run
from workbench.sweeping import (
    CellState,
    Sweep,
    SweepFields,
    all_sweeps,
    find_sweep,
    idle_in_all_cells,
    plan_cells,
    read_recipe,
    read_results,
    recipe_questions,
    request_stop,
    run_sweep,
    time_left,
)
from workbench.sweeping import estimate as estimating
from workbench.sweeping import run as running
from workbench.sweeping.estimate import known_prices, priced_settings, side_by_side_seconds
from workbench.sweeping.known_runs import run_name
from workbench.sweeping.plan import record_nothing
from workbench.sweeping.price import Price


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for every test."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


def test_grid_crosses_axes_points_and_seeds() -> None:
    """A grid has one cell per combination of points, axis values and seeds, seeds innermost."""
    sweep = small(points=[{"batch": 8, "epochs": 1.0}, {"batch": 16, "epochs": 2.0}])
    cells = sweep.cells()
    assert len(cells) == 2 * 2 * 2 == len({c.id for c in cells})
    assert [c.seed for c in cells[:4]] == [0, 1, 0, 1]
    assert {(c.settings.batches.size, c.settings.batches.epochs) for c in cells} == {
        (8, 1.0),
        (16, 2.0),
    }


def test_values_added_later_renumber_nothing() -> None:
    """More values, seeds and draws of a sweep leave the ids of its cells as they are."""
    larger = small(axes={"shuffling": ["on-the-fly", "none", "full"]}, seeds=[2, 1, 0])
    assert {c.id for c in small().cells()} < {c.id for c in larger.cells()}

    wide = {"learning_rate": {"low": 1e-3, "high": 1.0, "log": True}, "batch": [8, 16]}
    few = small(axes=wide, draws=5, seeds=[0]).cells()
    more = small(axes=wide, draws=9, seeds=[0]).cells()
    assert [c.id for c in few] == [c.id for c in more][:5]
    assert len({c.id for c in more}) == 9
    assert all(1e-3 <= c.settings.updates.learning_rate <= 1.0 for c in more)


def test_a_saved_sweep_grows_and_never_changes() -> None:
    """Saving again joins values and seeds; another base is refused."""
    small().save()
    grown = small(axes={"shuffling": ["on-the-fly"]}, seeds=[5]).save()
    assert grown.axes == {"shuffling": ["none", "full", "on-the-fly"]}
    assert list(grown.seeds) == [0, 1, 5]
    assert find_sweep("s") == grown == all_sweeps()[0]
    with pytest.raises(UserError, match="another settings"):
        small(settings={"epochs": 3.0}).save()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"axes": {"shufling": ["none"]}}, "no such setting: shufling"),
        ({"axes": {"shuffling": ["maybe"]}}, "choose one of"),
        ({"axes": {"seed": [1, 2]}}, "axis of their own"),
        ({"axes": {"batch": []}}, "no values"),
        ({"axes": {"batch": {"low": 1, "high": 9}}}, "needs draws"),
        ({"axes": {"shuffling": {"low": "full", "high": "none"}}, "draws": 2}, "one of numbers"),
        ({"name": "../x"}, "cannot name a sweep"),
        ({"seeds": []}, "no seeds"),
        ({"points": [{"shuffling": "none"}]}, "both an axis and"),
        ({"preset": "huge"}, "no such preset"),
        ({"rate_factor": 2.0}, "need rates=auto"),
        ({"rates_at": {"decoder_seconds": 0}}, "need rates=auto"),
        ({"rates": "auto", "rates_at": {"decoder_second": 0}}, "no such setting"),
        ({"rates": "auto", "rate_factor": 0.0}, "a number above 0"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict, message: str) -> None:
    """A wrong sweep raises UserError when it is described, not when it is run."""
    with pytest.raises(UserError, match=message):
        small(**wrong)


def test_the_fields_of_a_file_are_those_of_a_sweep() -> None:
    """The type of the fields, which calls and files are checked against, lacks none."""
    assert set(get_type_hints(SweepFields)) == {f.name for f in dataclasses.fields(Sweep)}
    assert list(small().to_dict()) == [f.name for f in dataclasses.fields(Sweep)]


def test_impossible_combinations_are_not_left_out() -> None:
    """Full shuffling of a sequence criterion is an error, not a silently missing cell."""
    with pytest.raises(UserError, match="shuffling=full"):
        small(axes={"shuffling": ["none", "full"], "criterion": ["mmi"]}).cells()


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"axes": {"momentum": [0.5, 0.9]}}, "momentum .* needs optimizer=momentum"),
        ({"axes": {"decoder_seconds": [1, 60]}}, "decoder_seconds .* needs a sequence criterion"),
        (
            {"axes": {"decoder_seconds": [1, 60]}, "settings": {"criterion": "mmi"}},
            "decoder_seconds .* needs decoder_fetch=seconds",
        ),
        ({"points": [{"boost": 0.1}, {"boost": 0.2}], "axes": {}}, "boost .* needs criterion=bmmi"),
        ({"axes": {"staleness_bound": [0, 5]}}, "staleness_bound .* needs replicas"),
    ],
)
def test_an_axis_without_effect_is_refused(fields: dict, message: str) -> None:
    """A sweep whose cells would all be the same run is not run, and says what the setting needs."""
    with pytest.raises(UserError, match=message):
        run_sweep(small(**fields), executor=Outcomes())


def test_an_axis_that_acts_in_some_cells_is_run() -> None:
    """Crossed with its condition, a setting acts in a part of the cells."""
    sweep = small(axes={"optimizer": ["sgd", "momentum"], "momentum": [0.5, 0.9]}, seeds=[0])
    assert {cell.state for cell in run_sweep(sweep, executor=Outcomes())} == {"done"}


def test_as_python_makes_the_same_sweep() -> None:
    """The lines that a panel offers to copy describe the very same sweep."""
    sweep = small(settings={"epochs": 1.5}, init="ce", question="why?")
    source = sweep.as_python().replace("run_sweep(Sweep(", "made = (Sweep(")
    scope: dict = {}
    exec(source, scope)
    assert scope["made"] == sweep


def test_every_recipe_makes_cells_of_both_sizes() -> None:
    """Each recipe names its question, has two sizes, and all of its cells are possible."""
    assert {name.split("-")[0] for name in recipe_questions()} >= {
        "e1",
        "e2",
        "e3",
        "e3ab",
        "e4",
        "e4a",
        "e5",
    }
    for name, question in recipe_questions().items():
        assert question.strip().endswith((".", "?"))
        for size in ("watch", "laptop"):
            recipe = read_recipe(name, "c", size)
            assert len(recipe.cells()) >= 2
            assert idle_in_all_cells(recipe, {*recipe.varied, *recipe.settings}) == {}


def test_failures_are_recorded_and_the_rest_goes_on() -> None:
    """Failed and diverged runs stop no other; only ``retry`` runs a failed cell again."""
    failing = {
        "shuffling=none 0": OSError("a damaged file"),
        "shuffling=none 1": FloatingPointError("not finite"),
    }
    cells = run_sweep(small(), executor=Outcomes(failing))
    assert [c.state for c in cells] == ["failed", "diverged", "done", "done"]
    assert "a damaged file" in cells[0].error
    assert "not finite" in cells[1].error

    again = Outcomes()
    run_sweep(small(), executor=again)
    assert again.asked == []

    retried = Outcomes()
    run_sweep(small(), retry=True, executor=retried)
    assert retried.asked == ["shuffling=none 0"]
    assert [c.state for c in plan_cells(small())] == ["done", "diverged", "done", "done"]


def test_progress_counts_parts_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that runs counts by the share that it has recorded, an ended one as a whole."""
    monkeypatch.setattr(running, "REPORT_SECONDS", 0.0)
    outcomes = Outcomes()
    said: list[tuple[int, int]] = []
    under_way: list[tuple[Future, tuple, running.CellReporter]] = []
    sweep = small(seeds=[0], axes={"shuffling": ["none"]})
    cell = sweep.cells()[0]

    class Slow:
        def submit(self, *given) -> Future:
            under_way.append((Future(), given, running.CellReporter(sweep, cell)))
            return under_way[0][0]

    def progress(done: int, total: int, what: str) -> None:
        future, given, told = under_way[0]
        said.append((done, total))
        if len(said) == 1:
            told(30, 120, "frames")
        elif not future.done():
            assert [c.state for c in plan_cells(sweep)] == ["running"]
            record_nothing(sweep, cell)
            future.set_result(outcomes.submit(*given).result())

    run_sweep(sweep, executor=Slow(), progress=progress)
    assert said == [(0, 100), (25, 100), (100, 100)]


def test_stop_after_current_leaves_the_rest_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a stop no cell begins, and running again does only what is missing."""
    outcomes = Outcomes()
    submit = Outcomes.submit
    monkeypatch.setattr(stop, "POLL_SECONDS", 0.0)

    def stopping(self, *given):
        request_stop(small())
        return submit(self, *given)

    monkeypatch.setattr(Outcomes, "submit", stopping)
    cells = run_sweep(small(), executor=outcomes)
    assert [c.state for c in cells] == [CellState.DONE] + 3 * [CellState.MISSING]

    monkeypatch.setattr(Outcomes, "submit", submit)
    rest = Outcomes()
    cells = run_sweep(small(), executor=rest)
    assert {c.state for c in cells} == {CellState.DONE}
    assert len(rest.asked) == 3


def test_sweep_json_with_an_unknown_field_is_named(data: Path) -> None:
    """A damaged description says which file and which field."""
    small().save()
    path = data / "sweeps" / "s" / "sweep.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "axis": {}}))
    with pytest.raises(UserError, match=r"sweep\.json: no such field of a sweep: axis"):
        find_sweep("s")


def test_cells_are_settings() -> None:
    """A cell is trained with exactly the settings that name it."""
    for cell in small().cells():
        assert cell.id == Settings.of(**cell.settings.to_dict()).digest()


def test_table_has_all_columns_before_anything_has_run() -> None:
    """A sweep of which nothing has run has the columns of a finished one."""
    empty = read_results(small())
    run_sweep(small(), executor=Outcomes())
    assert list(empty.table) == list(read_results(small()).table)
    assert isinstance(empty.groups, pd.DataFrame)
    assert list(empty.table.state) == ["missing"] * 4


def test_what_all_start_from_is_trained_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep with a start trains it first, gives it to every cell, and finds it again later."""
    (data / "corpora" / "c").mkdir(parents=True)
    (data / "corpora" / "c" / "corpus.json").write_text("{}")
    trained: list[tuple] = []
    given: list[str | None] = []

    def train_or_resume(
        existing: Run | None, corpus: Corpus, settings: Settings, *, name: str, **how: object
    ) -> Run:
        if existing is not None:
            return existing
        trained.append((corpus.name, settings, name))
        return fake_run(f"{name}-0", settings, corpus=corpus.name)

    class Started(Outcomes):
        """Notes what cells are to start from."""

        def submit(self, function, sweep: Sweep, cell_id: str, data: str) -> Future:
            """As Outcomes."""
            given.append(sweep.init)
            return super().submit(function, sweep, cell_id, data)

    monkeypatch.setattr(running.runs, "train_or_resume", train_or_resume)
    sweep = small(start={"epochs": 3.0}, settings={"epochs": 1.0})
    assert {c.state for c in run_sweep(sweep, executor=Started())} == {"done"}
    run_sweep(dataclasses.replace(sweep, name="other"), executor=Started())
    assert trained == [("c", preset("tiny", epochs=3.0), "ce-c")]
    assert given == ["ce-c-0"] * 8 and find_sweep("s").init is None


def test_a_stopped_start_begins_no_cell(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the run that all cells start from is stopped, no cell is run and none has failed."""
    (data / "corpora" / "c").mkdir(parents=True)
    (data / "corpora" / "c" / "corpus.json").write_text("{}")

    def stopped(existing: Run | None, corpus: Corpus, settings: Settings, **how: object) -> Run:
        return fake_run("ce-0", settings, state="stopped", corpus=corpus.name)

    monkeypatch.setattr(running.runs, "train_or_resume", stopped)
    outcomes = Outcomes()
    cells = run_sweep(small(start={"epochs": 3.0}), executor=outcomes)
    assert outcomes.asked == []
    assert {c.state for c in cells} == {CellState.MISSING}


def test_a_cell_that_is_stopped_is_no_failure(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell whose run was stopped has no price and no error, and is resumed the next time."""
    (data / "corpora" / "c").mkdir(parents=True)
    (data / "corpora" / "c" / "corpus.json").write_text("{}")
    sweep = small(seeds=[0], axes={"shuffling": ["none"]})
    cell = sweep.cells()[0]

    def stopped(existing: Run | None, corpus: Corpus, settings: Settings, **how: object) -> Run:
        return fake_run(f"{run_name(sweep, cell)}-0", settings, state="stopped")

    monkeypatch.setattr(running.runs, "train_or_resume", stopped)
    (planned,) = run_sweep(sweep)
    assert (planned.state, planned.error, planned.price) == (CellState.STOPPED, "", None)
    assert planned.state.unfinished


def test_rates_of_recipes_can_be_found() -> None:
    """With rates=auto no recipe has a rate of its own, its cells are as many, and its command has
    the option; a rate that is given besides is refused.
    """
    for name in recipe_questions():
        for size in ("watch", "laptop"):
            given = read_recipe(name, "c", size)
            found = read_recipe(name, "c", size, rates="auto")
            assert found.rates == "auto"
            named = {*found.settings, *found.axes, *(f for point in found.points for f in point)}
            assert "learning_rate" not in named
            assert len(found.cells()) == len(given.cells())
            assert "--rates auto" in found.recipe
    with pytest.raises(UserError, match="learning_rate"):
        read_recipe("e1-shuffling", "c", rates="auto", settings={"learning_rate": 0.1})


def test_found_rates_are_those_of_other_settings_multiplied(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searched at ``rates_at``; cells train at their own settings with a multiple of what it found.

    A cell whose run exists is resumed with the rate that it has.
    """
    searched = []
    trained = []

    def found(corpus: Corpus, settings: Settings, *how: object) -> RateSearch:
        searched.append(settings.batches.size)
        return RateSearch("ce", {}, "", 1, 1, 1, rate=0.004)

    def train(existing: Run | None, corpus: Corpus, settings: Settings, **how: object) -> Run:
        trained.append((settings.batches.size, settings.updates.learning_rate))
        return existing or fake_run(f"{how['name']}-0", settings)

    (data / "corpora" / "c").mkdir(parents=True)
    (data / "corpora" / "c" / "corpus.json").write_text("{}")
    monkeypatch.setattr(running, "find_rate", found)
    monkeypatch.setattr(running.runs, "train_or_resume", train)
    sweep = small(
        settings={},
        axes={"batch": [16, 32]},
        seeds=[0],
        rates="auto",
        rate_factor=4.0,
        rates_at={"batch": 8},
        test=False,
    )
    run_sweep(sweep)
    assert searched == [8, 8]
    assert trained == [(16, 0.016), (32, 0.016)]
    assert find_sweep("s").rate_factor == 4.0
    assert "--file" in sweep.command()


def test_a_recipe_takes_the_network_of_its_start() -> None:
    """With ``init`` the cells of a recipe have that run's network, else the recipe's own."""
    big = fake_run("big-0", Settings.of(hidden_layers=5, hidden_units=64))
    named = read_recipe("e5-layers", "c", init=big)
    models = {c.settings.model for c in named.cells()}
    assert {(m.hidden_layers, m.hidden_units) for m in models} == {(5, 64)}
    assert not named.start

    own = read_recipe("e5-layers", "c")
    assert own.init is None
    assert own.start["hidden_units"] == own.cells()[0].settings.model.hidden_units

    mine = read_recipe("e5-layers", "c", name="mine", seeds=[3])
    assert mine.command().endswith("--name mine --seeds 3")


def test_runs_side_by_side_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes are bounded by the places, by the processors, and by the longest run."""
    monkeypatch.setattr(estimating.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(estimating, "OPENING", Price(0.0, 0.0))
    assert side_by_side_seconds([Price(10.0, 10.0)] * 6, 1) == 60.0
    assert side_by_side_seconds([Price(10.0, 10.0)] * 6, 2) == 30.0
    assert side_by_side_seconds([Price(10.0, 10.0)] * 6, 6) == 30.0  # two processors
    assert side_by_side_seconds([Price(10.0, 5.0)] * 3, 2) == 20.0  # the third has nobody beside it
    assert side_by_side_seconds([Price(50.0, 5.0), Price(1.0, 1.0)], 2) == 50.0  # the longest
    assert side_by_side_seconds([], 2) == 0.0


def test_runs_of_the_same_kind_price_the_next(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """Runs that ended price cells with other seeds and rates, not with another shuffling."""
    (data / "corpora" / "c").mkdir(parents=True)
    run_sweep(small(), executor=Outcomes())
    prices = known_prices(small(name="t", seeds=[5]))
    kinds = {
        priced_settings(c.settings)
        for c in small(settings={"learning_rate": 0.5, "replicas": 9}, seeds=[7]).cells()
    }
    assert set(prices) == kinds
    assert set(prices.values()) == {Price(60.0, 30.0)}
    assert known_prices(small(corpus="d")) == {} == known_prices(small(test=False))
    assert time_left(plan_cells(small(seeds=[0, 1, 2])), 2) == "about 60 s left"
    assert time_left(plan_cells(small()), 2) == ""


def test_two_processes_do_not_run_one_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is refused in one line that names the first, and the first goes on."""
    sweep = small()
    refused = pytest.raises(UserError, match=f"{sweep.name}: process {os.getpid()} is running")
    with hold_lock(sweep.folder / running.LOCK, wait=False), refused:
        run_sweep(sweep)
    monkeypatch.setattr(running, "plan_cells", lambda sweep: [])
    assert run_sweep(sweep) == []
