"""Sweeps: what their cells are, what is run, what is recorded, and what is said of the outcome."""

import dataclasses
import importlib
import json
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run

from workbench.cli.sweep import describe_results
from workbench.settings import Settings, UserError, preset
from workbench.storage.run import Run
from workbench.sweeping import (
    Sweep,
    all_sweeps,
    find_sweep,
    left,
    plan,
    recipe,
    recipes,
    results,
    run,
)
from workbench.sweeping.estimate import as_priced, known_prices, together
from workbench.sweeping.plan import run_name
from workbench.sweeping.rehearsal import Price
from workbench.sweeping.results import effects, mean_interval

carrying = importlib.import_module("workbench.sweeping.run")
estimating = importlib.import_module("workbench.sweeping.estimate")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of its own for every test."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    return tmp_path


def small(**changes) -> Sweep:
    """Two values of one axis, two seeds."""
    given = {
        "name": "s",
        "corpus": "c",
        "preset": "tiny",
        "axes": {"shuffling": ["none", "full"]},
        "seeds": [0, 1],
    }
    return Sweep(**{**given, **changes})


def test_grid_crosses_axes_points_and_seeds() -> None:
    """A grid has one cell for every combination of points, axis values and seeds, seeds innermost."""
    sweep = small(points=[{"batch": 8, "epochs": 1.0}, {"batch": 16, "epochs": 2.0}])
    cells = sweep.cells()
    assert len(cells) == 2 * 2 * 2 == len({c.id for c in cells})
    assert [c.seed for c in cells[:4]] == [0, 1, 0, 1]
    assert {(c.settings.batches.size, c.settings.batches.epochs) for c in cells} == {
        (8, 1.0),
        (16, 2.0),
    }


def test_values_added_later_renumber_nothing() -> None:
    """A cell's id is a function of its settings: more values, seeds and draws leave the ids that exist as they are."""
    before = {c.id for c in small().cells()}
    assert before < {
        c.id
        for c in small(axes={"shuffling": ["on-the-fly", "none", "full"]}, seeds=[2, 1, 0]).cells()
    }
    wide = {"learning_rate": {"low": 1e-3, "high": 1.0, "log": True}, "batch": [8, 16]}
    few, more = (small(axes=wide, draws=n, seeds=[0]).cells() for n in (5, 9))
    assert [c.id for c in few] == [c.id for c in more][:5] and len({c.id for c in more}) == 9
    assert all(1e-3 <= c.settings.updates.learning_rate <= 1.0 for c in more)


def test_a_saved_sweep_grows_and_never_changes() -> None:
    """Saving again joins values and seeds; another base is refused."""
    small().save()
    grown = small(axes={"shuffling": ["on-the-fly"]}, seeds=[5]).save()
    assert grown.axes == {"shuffling": ["none", "full", "on-the-fly"]} and list(grown.seeds) == [
        0,
        1,
        5,
    ]
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
        ({"name": "../x"}, "name is made of"),
        ({"seeds": []}, "no seeds"),
        ({"points": [{"shuffling": "none"}]}, "both an axis and"),
        ({"preset": "huge"}, "no such preset"),
    ],
)
def test_what_is_wrong_is_said(wrong: dict, message: str) -> None:
    """A sweep that cannot be raises UserError when it is described, not when it is run."""
    with pytest.raises(UserError, match=message):
        small(**wrong)


def test_impossible_combinations_are_not_left_out() -> None:
    """Full shuffling of a sequence criterion is an error of the sweep, not a silently missing cell."""
    with pytest.raises(UserError, match="shuffling=full"):
        small(axes={"shuffling": ["none", "full"], "criterion": ["mmi"]}).cells()


def test_as_python_makes_the_same_sweep() -> None:
    """The lines that a panel offers to copy describe the very same sweep."""
    sweep = small(settings={"epochs": 1.5}, init="ce", question="why?")
    source = sweep.as_python().replace("run(Sweep(", "made = (Sweep(")
    scope: dict = {}
    exec(source, scope)
    assert scope["made"] == sweep


def test_every_recipe_makes_cells_of_both_sizes() -> None:
    """Each ready-made sweep names its question, has two sizes, and all of its cells are possible."""
    assert {name.split("-")[0] for name in recipes()} >= {
        "e1",
        "e2",
        "e3",
        "e3ab",
        "e4",
        "e4a",
        "e5",
    }
    for name, question in recipes().items():
        assert question.strip().endswith((".", "?"))
        for size in ("watch", "laptop"):
            assert len(recipe(name, "c", size).cells()) >= 2


class Outcomes:
    """An executor that trains nothing: it leaves the run that a cell would leave, or fails as told."""

    def __init__(self, failing: dict[str, Exception] | None = None):
        self.failing, self.asked = failing or {}, []

    def submit(self, function, spec: dict, cell_id: str, data: str) -> Future:
        """As ``concurrent.futures`` has it."""
        sweep, future = Sweep(**spec), Future()
        cell = next(c for c in sweep.cells() if c.id == cell_id)
        self.asked.append(cell.label + f" {cell.seed}")
        error = self.failing.get(self.asked[-1])
        if error is None or isinstance(error, FloatingPointError):
            state = "done" if error is None else "diverged"
            wrong = {"none": 1, "full": 2}.get(cell.settings.batches.shuffling, 0)
            fake_run(
                f"{run_name(sweep, cell)}-0",
                cell.settings,
                state=state,
                error=str(error or ""),
                wrong=wrong + cell.seed,
            )
        future.set_exception(error) if error else future.set_result((60.0, 30.0))
        return future


def test_failures_are_recorded_and_the_rest_goes_on() -> None:
    """One failed and one diverged run stop no other; a second run does nothing, with retry only what failed."""
    failing = {
        "shuffling=none 0": OSError("disk full"),
        "shuffling=none 1": FloatingPointError("not finite"),
    }
    cells = run(small(), executor=Outcomes(failing))
    assert [c.state for c in cells] == ["failed", "diverged", "done", "done"]
    assert "disk full" in cells[0].error and "not finite" in cells[1].error
    again, retried = Outcomes(), Outcomes()
    run(small(), executor=again)
    run(small(), retry=True, executor=retried)
    assert again.asked == [] and retried.asked == ["shuffling=none 0"]
    assert [c.state for c in plan(small())] == ["done", "diverged", "done", "done"]


def test_progress_counts_parts_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run goes on its word of how far it is counts, and it stands as running; at the end all parts are done."""
    monkeypatch.setattr(carrying, "OFTEN", 0.0)
    outcomes, said, under_way, sweep = (
        Outcomes(),
        [],
        [],
        small(seeds=[0], axes={"shuffling": ["none"]}),
    )
    record = carrying.record_path(sweep, sweep.cells()[0])

    class Slow:
        def submit(self, *given) -> Future:
            under_way.append((Future(), given, carrying.Told(record)))
            return under_way[0][0]

    def progress(done: int, total: int, what: str) -> None:
        future, given, told = under_way[0]
        said.append((done, total))
        if len(said) == 1:
            told(30, 120, "frames")
        elif not future.done():
            assert [c.state for c in plan(sweep)] == ["running"]
            carrying.write_json(record, {})
            future.set_result(outcomes.submit(*given).result())

    run(sweep, executor=Slow(), progress=progress)
    assert said == [(0, 100), (25, 100), (100, 100)]


def test_stop_after_current_leaves_the_rest_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was under way ends, nothing more begins, and running again does what is missing only."""
    outcomes, submit = Outcomes(), Outcomes.submit
    monkeypatch.setattr(carrying.StopFile, "__call__", lambda stop: stop.path.exists())

    def stopping(self, *given):
        carrying.ask_to_stop(small())
        return submit(self, *given)

    monkeypatch.setattr(Outcomes, "submit", stopping)
    assert [c.state for c in run(small(), executor=outcomes)] == [
        "done",
        "missing",
        "missing",
        "missing",
    ]
    monkeypatch.setattr(Outcomes, "submit", submit)
    rest = Outcomes()
    assert {c.state for c in run(small(), executor=rest)} == {"done"} and len(rest.asked) == 3


def test_results_take_seeds_together_and_test_significance() -> None:
    """Means over seeds, effects of each factor, and a paired bootstrap whose verdict is in words."""
    run(small(), executor=Outcomes())
    found = results(small())
    assert list(found.groups.label) == ["shuffling=none", "shuffling=full"] and list(
        found.groups.n
    ) == [2, 2]
    table = found.table
    assert found.groups.test_wer[0] == pytest.approx(
        table[table.shuffling == "none"].test_wer.mean()
    )
    row = found.significance.iloc[0]
    assert row["against"] == "shuffling=none" and row.seeds == 2 and 0 < row.p <= 1
    assert "significant" in row.verdict and row.verdict in describe_results(found)
    effect = effects(table, ["shuffling"], "test_wer")
    assert list(effect["mean"]) == pytest.approx(list(found.groups.test_wer))
    assert (
        set(found.runs) == {"shuffling=none", "shuffling=full"}
        and len(found.runs["shuffling=none"]) == 2
    )


def test_interval_is_students() -> None:
    """Mean and 95 % interval of 1, 2, 3: 2 ± 4.303·1/√3; one value has no interval."""
    mean, low, high = mean_interval(np.array([1.0, 2.0, 3.0, np.nan]))
    assert (mean, low, high) == pytest.approx(
        (2.0, 2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), rel=1e-5
    )
    assert mean_interval(np.array([1.0]))[0] == 1.0 and np.isnan(mean_interval(np.array([1.0]))[1])


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
    """An empty sweep gives the same columns as a finished one, so that views need no exceptions."""
    empty = results(small())
    run(small(), executor=Outcomes())
    assert list(empty.table) == list(results(small()).table)
    assert isinstance(empty.groups, pd.DataFrame) and list(empty.table.state) == ["missing"] * 4


def test_what_all_start_from_is_trained_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep with a start trains and tests it first, gives it to every cell, and finds it again by its settings."""
    trained: list[tuple] = []
    given: list[str | None] = []

    def train(corpus: str, settings: Settings, name: str, **how) -> Run:
        trained.append((corpus, settings, name))
        return fake_run(f"{name}-0", settings, corpus=corpus)

    class Started(Outcomes):
        """Notes what cells are to start from."""

        def submit(self, function, spec: dict, cell_id: str, data: str) -> Future:
            """As Outcomes."""
            given.append(spec["init"])
            return super().submit(function, spec, cell_id, data)

    monkeypatch.setattr(carrying.runs, "train", train)
    sweep = small(start={"epochs": 3.0}, settings={"epochs": 1.0})
    assert {c.state for c in run(sweep, executor=Started())} == {"done"}
    run(dataclasses.replace(sweep, name="other"), executor=Started())
    assert trained == [("c", preset("tiny", epochs=3.0), "ce-c")]
    assert given == ["ce-c-0"] * 8 and find_sweep("s").init is None


def test_a_recipe_takes_the_network_of_its_start() -> None:
    """With a run named, the recipe's cells have that run's network; without one, the start has the recipe's."""
    fake_run("big-0", Settings.of(hidden_layers=5, hidden_units=64))
    named = recipe("e5-layers", "c", init="big")
    assert {
        (c.settings.model.hidden_layers, c.settings.model.hidden_units) for c in named.cells()
    } == {(5, 64)} and not named.start
    own = recipe("e5-layers", "c")
    assert (
        own.start["hidden_units"] == own.cells()[0].settings.model.hidden_units and own.init is None
    )
    assert (
        recipe("e5-layers", "c", name="mine", seeds=[3]).command().endswith("--name mine --seeds 3")
    )


def test_runs_side_by_side_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes are bounded by the places, by the processors, and by the longest run."""
    monkeypatch.setattr(estimating.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(estimating, "OPENING", Price(0.0, 0.0))
    assert together([Price(10.0, 10.0)] * 6, 1) == 60.0
    assert together([Price(10.0, 10.0)] * 6, 2) == 30.0
    assert together([Price(10.0, 10.0)] * 6, 6) == 30.0  # two processors
    assert together([Price(10.0, 5.0)] * 3, 2) == 20.0  # the third has nobody beside it
    assert together([Price(50.0, 5.0), Price(1.0, 1.0)], 2) == 50.0  # the longest
    assert together([], 2) == 0.0


def test_runs_of_the_same_kind_price_the_next(monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    """What ended on this corpus is the price of what is to come: other seeds and rates, but not another shuffling."""
    (data / "corpora" / "c").mkdir(parents=True)
    run(small(), executor=Outcomes())
    prices = known_prices(small(name="t", seeds=[5]))
    kinds = {
        as_priced(c.settings)
        for c in small(settings={"learning_rate": 0.5, "replicas": 9}, seeds=[7]).cells()
    }
    assert set(prices) == kinds and set(prices.values()) == {Price(60.0, 30.0)}
    assert known_prices(small(corpus="d")) == {} == known_prices(small(test=False))
    cells = plan(small(seeds=[0, 1, 2]))
    assert left(cells, 2) == "about 60 s left" and left(plan(small()), 2) == ""
