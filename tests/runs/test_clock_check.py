"""The comparison of the cost clock with a cluster, on rows that are known and as a whole."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench import runs
from workbench.cli import main
from workbench.engine.machines import load_machine, read_machine, write_machine
from workbench.metrics.distance import Distance
from workbench.model.topology import Topology
from workbench.prepare.corpus import Corpus
from workbench.runs import calibrate, clock_check
from workbench.runs.clock_check import ClockCheck, check_settings, compare, steady_pushes
from workbench.settings import UserError, preset
from workbench.storage.rows import PaceRow, PushRow, UsageRow
from workbench.storage.run import Run, all_runs

PUSH_EVERY = 2.0  # seconds, in fake runs
SPENT = (60 + 50) / 80  # by processes that work, in fake runs


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Run]:
    """Two runs with equal rows."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    settings = preset("tiny", criterion="mmi", replicas=3)
    return fake_run("one", settings), fake_run("two", settings)


def slower(run: Run, factor: float) -> Run:
    """The same run, whose clock went slower."""
    for path in run.row_files():
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        for row in rows:
            row["seconds"] *= factor
            if row["kind"] == "push":
                row["inner_seconds"] *= factor
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def compared(foretold: Run, real: Run) -> ClockCheck:
    """The comparison of two runs."""
    return compare(foretold, steady_pushes(foretold), real, load=0.5)


def test_equal_runs_have_no_distance(fakes):
    """Rates, ages and their distributions are the same, and no distance is between them."""
    check = compared(*fakes)
    assert check.ratio == 1.0
    assert check.measured.updates == pytest.approx(1 / PUSH_EVERY)
    assert check.predicted.busy == pytest.approx(SPENT)
    assert {age.name for age in check.ages} == {"inner", "outer", "inner_seconds", "outer_seconds"}
    for age in check.ages:
        assert age.predicted == age.measured
        assert age.distance == Distance(0.0, 0.0)


def test_a_slower_cluster_is_found(fakes):
    """Half the updates a second and twice the age in seconds; ages in updates stay."""
    one, two = fakes
    check = compared(one, slower(two, 2.0))
    assert check.ratio == pytest.approx(2.0)
    ages = {age.name: age for age in check.ages}
    assert ages["inner"].distance == Distance(0.0, 0.0)
    moved = ages["inner_seconds"]
    assert moved.measured.mean == pytest.approx(2 * moved.predicted.mean)
    assert moved.distance.wasserstein == pytest.approx(moved.predicted.mean)


@pytest.mark.parametrize("cores, share", [(1, 1 / SPENT), (2, 1.0), (8, 1.0)])
def test_shared_cores_are_priced(fakes, cores, share):
    """Where more processes work at once than there are cores, updates come so much later."""
    check = replace(compared(*fakes), cores=cores)
    assert check.shared_updates == pytest.approx(check.predicted.updates * share)
    assert check.shared_ratio == pytest.approx(share)


def test_ends_do_not_count(fakes):
    """The first and the last fifth of the pushes are left out."""
    pushes = steady_pushes(fakes[0])
    assert [push.step for push in pushes.rows] == list(range(8, 32))
    assert pushes.made == sum(1 for _ in fakes[0].rows(PushRow)) == 40


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_too_few_pushes_are_named(fakes, steps):
    """No rate can be taken from them; the message names the run and what to do."""
    short = fake_run("short", preset("tiny", criterion="mmi"), steps=steps)
    for pair in ((short, fakes[0]), (fakes[0], short)):
        with pytest.raises(UserError, match=f"short: {steps} pushes are too few .* more epochs"):
            compared(*pair)


def test_pushes_at_one_time_are_too_few(fakes):
    """Replicas that keep step on a virtual clock and push once have no rate either."""
    with pytest.raises(UserError, match="one: 40 pushes are too few"):
        compared(slower(fakes[0], 0.0), fakes[1])


def test_a_prediction_that_is_too_short_ends_before_the_cluster_works(fakes, monkeypatch):
    """The foretold run is looked at before the other is trained."""
    trained = []

    def train(corpus, settings, name, **more):
        trained.append(settings.clock.kind)
        return fake_run(name, settings, steps=1)

    monkeypatch.setattr(clock_check, "train", train)
    monkeypatch.setattr(clock_check, "corpus_of", lambda run: None)
    with pytest.raises(UserError, match="1 pushes are too few"):
        clock_check.check_clock(fakes[0], "laptop", [2])
    assert trained == ["cost"]


def test_pushes_are_read_once(fakes, monkeypatch):
    """A long run has millions of them."""
    waiting = list(fakes)
    read = []

    def steady(run):
        read.append(run)
        return steady_pushes(run)

    monkeypatch.setattr(clock_check, "train", lambda *_, **more: waiting.pop(0))
    monkeypatch.setattr(clock_check, "corpus_of", lambda run: None)
    monkeypatch.setattr(clock_check, "steady_pushes", steady)
    [check] = clock_check.check_clock(fakes[0], "laptop", [3], cluster=object())
    assert read == list(fakes)
    assert check.replicas == 3


def test_a_slower_machine_is_foretold_and_kept_to(fakes, monkeypatch, tmp_path):
    """Both runs have a machine whose work takes ten times as long; messages take what they took."""
    waiting = list(fakes)
    trained = []
    paces = []

    class FakeCluster:
        def paced(self, pace):
            paces.append(pace)
            return "paced"

    def train(corpus, settings, executor=None, **more):
        trained.append((settings.clock.machine, executor))
        return waiting.pop(0)

    monkeypatch.setattr(clock_check, "train", train)
    monkeypatch.setattr(clock_check, "corpus_of", lambda run: None)
    topology = Topology(1, (8,), 4)
    monkeypatch.setattr(clock_check, "load_model", lambda path: (None, topology, {}))
    here = load_machine("laptop")
    write_machine(here, tmp_path / "here.json")

    clock_check.check_clock(fakes[0], tmp_path / "here.json", [3], {}, None, FakeCluster(), 10)
    (foretold, _), (_, executor) = trained
    slow = read_machine(Path(foretold))
    (pace,) = paces
    assert executor == "paced"
    assert pace.machine == replace(slow, parameters=topology.size)
    for kind, price in here.prices.items():
        for frames in (0, 100):
            ten_times = 10 * replace(here, parameters=5000).seconds(kind, frames)
            assert replace(slow, parameters=5000).seconds(kind, frames) == pytest.approx(ten_times)
        assert slow.prices[kind] != price
    assert (slow.byte, slow.latency) == (here.byte, here.latency)


def test_late_work_is_told(fakes):
    """As a share of the time that work should have taken; processes that sleep need no cores."""
    one, two = fakes
    rows = [PaceRow(process=f"replica {i}", pieces=9, late_seconds=5.0) for i in (0, 1)]
    text = "".join(json.dumps(row.to_dict()) + "\n" for row in rows)
    with open(two.folder / "rows-replica-0.jsonl", "a") as file:
        file.write(text)

    check = replace(compared(one, two), cores=1)
    work = sum(row.work_seconds or 0.0 for row in two.rows(UsageRow))
    assert check.late == pytest.approx(10 / (work - 10))
    assert check.shared_updates == check.predicted.updates
    assert compared(two, one).late is None


def test_slower_without_a_comparison_is_refused(fakes, capsys):
    """The prices that are written are those of this computer, so nothing would be slower."""
    assert main.main(["calibrate", fakes[0].name, "--slower", "10"]) == 1
    assert "--slower needs --verify" in capsys.readouterr().err


def test_a_comparison_is_not_disturbed():
    """Its runs stop for no checkpoint or measurement but those at the ends, unless told to."""
    settings = check_settings(preset("tiny", criterion="mmi"), 4, {"epochs": 3.0})
    assert settings.asynchrony.replicas == 4
    assert settings.measuring.checkpoint_every > settings.batches.epochs
    assert settings.measuring.evaluate_every > settings.batches.epochs
    assert settings.batches.epochs == 3.0


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.filterwarnings("default")  # Dask's own warnings are not this project's to mend
def test_calibrate_verifies(tiny_home, capsys, monkeypatch):
    """The command measures, trains by either clock from one model, and prints both.

    How well it measures is seen in `test_calibration_predicts`; here it measures quickly.
    """
    pytest.importorskip("distributed")
    monkeypatch.setattr(calibrate, "POINT_SECONDS", 0.01)
    small = preset("tiny", hidden_units=16, epochs=1.0, batch=16)
    start = runs.train(Corpus.open("tiny"), small, name="start")
    words = ["calibrate", start.name, "--no-network", "--verify", "2", "--slower", "3", "--json"]
    assert main.main([*words, "--set", "epochs=0.5"]) == 0
    (check,) = json.loads(capsys.readouterr().out)
    assert check["replicas"] == 2
    assert check["measured"]["updates"] > 0
    assert check["late"] >= 0
    assert 0 <= check["ages"][0]["distance"]["kolmogorov_smirnov"] <= 1

    pushes = {}
    clocks = {}
    for run in all_runs():
        if run.name in (check["predicted_run"], check["measured_run"]):
            pushes[run.name] = sum(1 for _ in run.rows(PushRow))
            clocks[run.settings.clock.kind] = run.settings.batches.epochs
    assert clocks == {"cost": 0.5, "wall": 0.5}
    assert len(set(pushes.values())) == 1
