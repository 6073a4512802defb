"""The search for a learning rate: what it chooses, what it costs, how it goes on, who shares it."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_runs import decode_row, fake_run

from workbench import runs
from workbench.cli import main
from workbench.figures.rates import draw_rates, rate_rows
from workbench.prepare.corpus import Corpus
from workbench.rates import find_rate, with_found_rate
from workbench.rates import trial as trials
from workbench.rates.halving import COARSE, FINE, best_rates, choose_grid, chosen_rate
from workbench.rates.identity import describe_start, search_settings
from workbench.rates.measured import TrialDifference, newer_criterion, read_seen
from workbench.rates.search import least_part, search_file
from workbench.rates.usual import usual_rate
from workbench.runs.task import Task
from workbench.sequence.lattice_pair import OUTSIDE, value_with_reference
from workbench.settings import Settings, UserError, preset
from workbench.storage.rate_search import RatePoint, RateSearch, RateTrial, read_search
from workbench.storage.rows import DecodeRow
from workbench.storage.run import CorpusIdentity, Run, RunRecord, RunState, find_run
from workbench.storage.run_writer import RunWriter
from workbench.sweeping import Sweep, plan_cells, run_sweep

SETTINGS = preset("tiny", epochs=8.0, hidden_units=16)


def searched(*trials_: RateTrial, rate: float | None = None) -> RateSearch:
    """A search with some trials."""
    return RateSearch("ce", {}, "nothing", 10, 180, 1000, trials_, rate)


def trial(rate: float, *reached: float, ended: str = "") -> RateTrial:
    """A trial that reached these values, one in each round."""
    points = tuple(RatePoint(10 * 2**n, value) for n, value in enumerate(reached))
    return RateTrial(rate, points, 10 * len(points), ended)


def test_grids_fit_their_budget() -> None:
    """The finest grid whose parts are long enough is taken, and none where nothing fits."""
    fine = round(100 * FINE.parts)
    coarse = round(100 * COARSE.parts)
    assert choose_grid(fine, 100) == FINE
    assert choose_grid(fine - 1, 100) == COARSE
    assert choose_grid(coarse - 1, 100) is None
    assert least_part(Settings.of(batch=50, replicas=10, shuffling="full"), 300.0) == 3 * 10 * 50
    assert least_part(Settings.of(criterion="mmi", replicas=10), 300.0) == 3 * 10 * 300


def test_trials_outlast_the_silence_in_which_slots_begin() -> None:
    """With ten replicas a short trial is of silence only, and its largest rates diverge there."""
    assert least_part(Settings.of(batch=50, replicas=10), 300.0) == 300 * 10 * 50
    assert least_part(Settings.of(batch=50, replicas=1), 300.0) == 3 * 50

    apart = Settings.of(batch=50, replicas=10, slot_start="apart")
    assert least_part(apart, 300.0) == 3 * 10 * 50


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adagrad"])
def test_rates_lie_around_the_usual_one(optimizer: str) -> None:
    """The usual rate of an optimizer is one of those that are tried, neither first nor last."""
    settings = Settings.of(optimizer=optimizer)
    rates = FINE.rates(settings)
    assert rates == sorted(rates)
    assert any(math.isclose(rate, usual_rate(settings)) for rate in rates[1:-1])


def test_the_best_that_did_not_diverge_is_chosen() -> None:
    """What came furthest counts, then the criterion, then the larger rate; diverged ones do not."""
    search = searched(
        trial(0.1, -3.0, -2.0),
        trial(0.2, -2.9, -2.0),
        trial(0.4, -2.0, -1.0, ended="diverged"),
        trial(0.8, -1.5),
    )
    assert chosen_rate(search) == 0.2
    assert best_rates(search, 1, 2) == [0.8, 0.4]
    assert best_rates(search, 2, 4) == [0.4, 0.2, 0.1]
    assert chosen_rate(searched(trial(0.1, ended="diverged"))) is None


def decoded(
    value: float | None, num: float, den: float, reason: str | None = None, utterance: int = 0
) -> DecodeRow:
    """What a decoder says of an utterance of a hundred frames."""
    row = decode_row(utterance, replica=0, stale=0)
    return replace(row, value=value, num=num, den=den, reason=reason)


def stopped_run(folder: Path, name: str, *rows: DecodeRow) -> Run:
    """A run that has left these rows."""
    record = RunRecord(Settings().to_dict(), CorpusIdentity("c", "d"))
    writer = RunWriter.create(folder, name, record)
    for row in rows:
        writer.emit(row)
    writer.close(RunState.STOPPED)
    return writer.run


def test_a_rate_that_loses_references_looks_no_better(tmp_path: Path) -> None:
    """An utterance without its reference counts with the reference added to its lattice."""
    run = stopped_run(
        tmp_path,
        "run",
        decoded(-9.0, 0, 0, None),
        decoded(-9.0, 0, 0, None),
        decoded(-1.0, -5, -4, None),
        decoded(None, -8.0, -4.0, OUTSIDE),
    )
    lost = -8.0 - math.log(math.exp(-8.0) + math.exp(-4.0))
    assert newer_criterion(read_seen(run, True)) == pytest.approx((-1.0 + lost) / 200)


def test_expected_accuracy_does_not_hide_a_reference_that_falls(corpus: Corpus) -> None:
    """Of MPE the trial is compared by the criterion in which it is behind, of bMMI by its own."""

    def compared(criterion: str) -> TrialDifference:
        task = Task(corpus, search_settings(SETTINGS.replace(criterion=criterion)))
        folder = corpus.folder / f"trials-{criterion}"
        stopped_run(folder, "rate-1", *[decoded(90, -9, -4, utterance=u) for u in range(4)])
        stopped_run(folder, "rate-2", *[decoded(70, -5, -4, utterance=u) for u in range(4)])
        start = trials.StartingPoint(np.zeros(1, np.float32), None)
        return trials.Trials(folder, task, start, 100).compare(1.0, 2.0)

    assert compared("bmmi").gain == pytest.approx((90 - 70) / 100)
    behind = value_with_reference(-9, -4) - value_with_reference(-5, -4)
    assert compared("mpe").gain == pytest.approx(behind / 100)


def test_a_damaged_search_is_named(tmp_path: Path) -> None:
    """A file that holds no search is answered in one line that names it."""
    path = tmp_path / "ce-x.json"
    for text in ("[]", "{}", '{"trials": [{"colour": 1, "points": []}]}'):
        path.write_text(text)
        with pytest.raises(UserError, match=r"ce-x\.json: "):
            read_search(path)


def test_the_curve_and_the_table_show_every_rate() -> None:
    """Each rate has a row; the chosen one and those that diverged are marked."""
    search = searched(trial(0.1, -2.0), trial(0.2, ended="too fast"), rate=0.1)
    rows = rate_rows(search)
    assert [row["learning rate"] for row in rows] == ["0.1", "0.2"]
    assert [row["remark"] for row in rows] == ["chosen", "given up: too fast"]
    ax = draw_rates(search).axes[0]
    assert ax.get_xscale() == "log"
    drawn = [float(x) for line in ax.lines for x in line.get_xdata()]
    assert {0.1, 0.2} <= set(drawn)


# --- with the tiny corpus


@pytest.fixture(scope="module")
def corpus(tiny_home: Path) -> Corpus:
    """The tiny corpus."""
    return Corpus.open("tiny")


@pytest.fixture(scope="module")
def found(corpus: Corpus) -> RateSearch:
    """A search that was not interrupted."""
    return find_rate(corpus, SETTINGS)


@pytest.mark.slow
def test_a_search_costs_less_than_a_fifth(corpus: Corpus, found: RateSearch) -> None:
    """All trials see less than a fifth of the frames that training will see; nothing is left."""
    assert 0 < found.frames < found.served / 5
    assert found.served == corpus.split("train").frames * 8
    left = [path.name for path in (corpus.folder / "rates").iterdir() if path.is_dir()]
    assert left == []


@pytest.mark.slow
def test_a_search_finds_a_rate_that_learns(found: RateSearch) -> None:
    """The chosen rate is the best of the last round, and better than the smallest."""
    by_rate = {each.rate: each for each in found.trials}
    assert len(by_rate) >= 8
    chosen = by_rate[found.found]
    assert chosen.reached is not None
    assert by_rate[min(by_rate)].reached is not None
    assert chosen.reached > by_rate[min(by_rate)].reached + 0.5


@pytest.mark.slow
def test_cross_entropy_is_measured_on_frames_of_all_the_data(corpus: Corpus) -> None:
    """A network that knows nothing has the entropy of equal posteriors on the sample."""
    task = Task(corpus, SETTINGS)
    measured = trials.Trials(corpus.folder, task, runs.starting_point(task), part=2_000)
    sample = measured.sample
    assert len(set(sample.tolist())) == len(sample) == 1_000
    assert sample.max() - sample.min() > 0.8 * task.train.frames
    start = runs.starting_point(task).theta
    assert measured.cross_entropy(start) == pytest.approx(-math.log(task.topology.states))


@pytest.mark.slow
def test_a_search_is_computed_once(
    corpus: Corpus, found: RateSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs that differ in seed, measuring or fall of the rate share a search; others do not."""
    monkeypatch.setattr(trials.Trials, "advance", None)
    same = SETTINGS.replace(seed=5, evaluate_every=0.1, decays=0, learning_rate=1.0)
    assert find_rate(corpus, same) == found
    assert with_found_rate(corpus, same) == same.replace(learning_rate=found.found)
    others = [SETTINGS.replace(batch=16), SETTINGS.replace(replicas=2, shuffling="full")]
    for other in others:
        with pytest.raises(TypeError):
            find_rate(corpus, other)


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_to_the_same(
    corpus: Corpus, found: RateSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off after each trial, and between a trial and its record, it ends as if it was not."""
    path = search_file(corpus, search_settings(SETTINGS), describe_start(None))
    complete = path.read_bytes()
    path.unlink()
    advance = trials.Trials.advance

    class Killed(Exception):
        pass

    calls = 0

    def die(self: trials.Trials, *given: object) -> RateTrial:
        nonlocal calls
        calls += 1
        if calls % 3 == 1:
            raise Killed
        advanced = advance(self, *given)  # type: ignore[arg-type]
        if calls % 3 == 2:
            raise Killed
        return advanced

    monkeypatch.setattr(trials.Trials, "advance", die)
    for _ in range(100):
        try:
            again = find_rate(corpus, SETTINGS)
            break
        except Killed:
            continue
    assert calls > 20
    assert again == found
    assert path.read_bytes() == complete


@pytest.mark.slow
def test_a_search_means_the_same_elsewhere(corpus: Corpus, found: RateSearch) -> None:
    """The file names no path and no machine."""
    path = search_file(corpus, search_settings(SETTINGS), describe_start(None))
    assert read_search(path) == found
    text = path.read_text()
    assert str(corpus.folder.parent) not in text
    assert "seconds" not in json.loads(text)


@pytest.mark.slow
def test_a_search_that_is_stopped_says_so(corpus: Corpus) -> None:
    """Asked to stop, it returns what it has; it has no rate yet, and goes on later."""
    stopped = find_rate(corpus, SETTINGS.replace(hidden_units=8), stop=lambda: True)
    assert stopped.rate is None
    with pytest.raises(UserError, match="stopped"):
        stopped.found  # noqa: B018
    assert find_rate(corpus, SETTINGS.replace(hidden_units=8)).rate is not None


@pytest.mark.slow
def test_training_too_short_for_a_search_takes_the_usual_rate(corpus: Corpus) -> None:
    """Where no grid fits the budget, or decoders run far ahead of it, the search says so."""
    short = find_rate(corpus, SETTINGS.replace(epochs=0.01))
    assert short.usual
    assert short.found == usual_rate(SETTINGS)
    assert "too few" in str(short)

    ce = runs.train(corpus, SETTINGS.replace(epochs=1.0), name="start")
    sequence = SETTINGS.replace(criterion="mmi", batch=32, epochs=3.0)
    found = find_rate(corpus, sequence, ce)
    assert found.frames < found.served / 5


@pytest.mark.slow
def test_auto_is_a_learning_rate_of_the_command_line(
    corpus: Corpus, found: RateSearch, capsys: pytest.CaptureFixture
) -> None:
    """`train --set learning_rate=auto` trains at the rate that is found, and says which."""
    words = ["--preset", "tiny", "--set", "epochs=8", "hidden_units=16", "learning_rate=auto"]
    assert main.main(["train", "tiny", *words, "--name", "auto"]) == 0
    assert find_run("auto").settings.updates.learning_rate == found.found
    assert f"learning_rate={found.found:g}" in capsys.readouterr().out
    words = ["rates", "tiny", "--preset", "tiny", "--set", "epochs=8", "hidden_units=16"]
    assert main.main(words) == 0
    assert "chosen" in capsys.readouterr().out


@pytest.mark.slow
def test_a_sweep_finds_a_rate_for_every_cell(
    corpus: Corpus, found: RateSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that differ in their seed share a rate; cells that differ in batch have their own.

    The rates are found; the runs, which take them as any other, are not trained.
    """

    def make_run(existing: None, corpus: Corpus, settings: Settings, name: str, **more: object):
        return fake_run(f"{name}-0", settings)

    monkeypatch.setattr(runs, "train_or_resume", make_run)
    sweep = Sweep(
        name="rates",
        corpus="tiny",
        preset="tiny",
        rates="auto",
        seeds=[0, 1],
        test=False,
        settings={"epochs": 8.0, "hidden_units": 16},
        axes={"batch": [64, 16]},
    )
    before = set((corpus.folder / "rates").glob("*.json"))
    run_sweep(sweep)
    rates = {}
    for planned in plan_cells(sweep):
        assert planned.run is not None
        rates[planned.cell.values["batch"], planned.cell.seed] = (
            planned.run.settings.updates.learning_rate
        )
    assert rates[64, 0] == rates[64, 1] == found.found
    assert rates[16, 0] == rates[16, 1]
    assert len(set((corpus.folder / "rates").glob("*.json")) - before) == 1
    with pytest.raises(UserError, match="learning_rate"):
        replace(sweep, settings={"learning_rate": 0.1})
    assert "--rates auto" in sweep.command()
