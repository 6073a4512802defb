"""A baseline: what it chooses, that it goes on after a kill at any step, and what it leaves."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.baseline import Baseline, Request, make_baseline
from workbench.baseline import job as jobs
from workbench.baseline.choices import (
    SEQUENCE_EPOCHS,
    ChosenSetting,
    CorpusSize,
    frame_choices,
    network_choices,
    sequence_choices,
    settings_by,
    with_given,
)
from workbench.baseline.forecast import Forecast, foretell
from workbench.baseline.plan import Plan, TunedScale, plan_file
from workbench.cli import main
from workbench.figures.tables import display_rows
from workbench.prepare.corpus import Corpus
from workbench.prepare.pipeline import MOST_STATES, Source, states_for
from workbench.settings import UserError, Value
from workbench.storage.run import Run, all_runs

DEMO = CorpusSize(frames=720_000, heldout_frames=100_000, heldout_utterances=360)


def chosen(choices: list[ChosenSetting]) -> dict[str, Value]:
    """The values of choices by name."""
    return {choice.name: choice.value for choice in choices}


def test_every_choice_is_a_setting_with_a_reason() -> None:
    """What is chosen makes settings, and each choice says why."""
    for frames in (1_000, 10_000, 150_000, 720_000, 2_000_000, 20_000_000):
        size = replace(DEMO, frames=frames)
        frame = frame_choices(size)
        sequence = sequence_choices(size, network_choices(size), "mmi")
        assert all(choice.reason for choice in (*frame, *sequence))
        settings = settings_by(sequence, "mmi")
        assert settings.model == settings_by(frame, "ce").model
        assert settings.criterion.name == "mmi"


def test_larger_corpora_have_larger_networks_and_fewer_epochs() -> None:
    """Units, layers and states never fall with the frames, epochs never rise."""
    sizes = [replace(DEMO, frames=frames) for frames in (10_000, 150_000, 720_000, 20_000_000)]
    by_size = [chosen(frame_choices(size)) for size in sizes]
    for name in ("hidden_units", "hidden_layers"):
        values = [float(values[name]) for values in by_size]
        assert values == sorted(values)
        assert values[0] < values[-1]
    epochs = [float(values["epochs"]) for values in by_size]
    assert epochs == sorted(epochs, reverse=True)
    states = [states_for(size.frames, 40) for size in sizes]
    assert states == sorted(states)
    assert (states[0], states[-1]) == (3 * 40, MOST_STATES)


def test_short_trainings_are_measured_often_enough_for_their_rate_to_fall() -> None:
    """With hours of speech there are six evaluations or more, at a bounded share of the cost."""
    for frames in (10_000, 150_000, 720_000, 2_000_000, 20_000_000):
        size = replace(DEMO, frames=frames)
        for choices in (
            chosen(frame_choices(size)),
            chosen(sequence_choices(size, network_choices(size), "mmi")),
        ):
            every = float(choices["evaluate_every"])
            assert float(choices["epochs"]) / every >= 3
            if frames >= 720_000:
                each = int(choices["evaluate_utterances"]) * size.heldout_frames / 360
                assert float(choices["epochs"]) / every >= 6
                assert each <= 0.16 * every * frames


def test_what_is_given_takes_the_place_of_what_is_chosen() -> None:
    """A given value replaces a choice, also as text, and names itself as given."""
    choices = with_given(frame_choices(DEMO), {"epochs": "3", "momentum": 0.5})
    assert chosen(choices)["epochs"] == 3.0
    assert [c.reason for c in choices if c.name in ("epochs", "momentum")] == ["as given"] * 2
    assert len(Counter(choice.name for choice in choices)) == len(choices)


def test_hours_shorten_training_and_never_what_was_given() -> None:
    """A limit of time takes epochs away, down to a least number; given epochs stay."""
    plan = Plan(
        {},
        "",
        tuple(frame_choices(DEMO)),
        tuple(sequence_choices(DEMO, network_choices(DEMO), "mmi")),
    )
    half = plan.shortened(0.5)
    assert half.frame_settings.batches.epochs == plan.frame_settings.batches.epochs / 2
    assert half.sequence_settings.batches.epochs == SEQUENCE_EPOCHS[0] / 2
    assert plan.shortened(0.0).frame_settings.batches.epochs == 2.0
    given = replace(plan, frame=tuple(with_given(plan.frame, {"epochs": 7.0})))
    assert given.shortened(0.1).frame_settings.batches.epochs == 7.0


def test_a_scale_that_was_given_is_kept() -> None:
    """Measured scales fill what nobody gave."""
    scales = [TunedScale(0.3, 1.0, 0.2), TunedScale(0.1, 1.0, 0.3)]
    sequence = tuple(sequence_choices(DEMO, network_choices(DEMO), "mmi"))
    plan = Plan({}, "", tuple(frame_choices(DEMO)), sequence)
    assert plan.with_scales(scales).sequence_settings.criterion.acoustic_scale == 0.3
    given = tuple(with_given(sequence, {"acoustic_scale": 0.07}))
    kept = replace(plan, sequence=given).with_scales(scales)
    assert kept.sequence_settings.criterion.acoustic_scale == 0.07
    assert kept.finds_rate(sequence=True)
    fixed = replace(plan, frame=tuple(with_given(plan.frame, {"learning_rate": 0.1})))
    assert not fixed.finds_rate(sequence=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "../x"},
        {"criterion": "ce"},
        {"criterion": "nothing"},
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"hours": -1.0},
        {"both": {"colour": "red"}},
        {"frame": {"seed": 1}},
        {"sequence": {"criterion": "mmi"}},
    ],
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, object]) -> None:
    """A request that cannot be is one line before anything is computed."""
    with pytest.raises(UserError):
        Request(**{"name": "x", **changes})  # type: ignore[arg-type]


# --- with the tiny corpus

SMALL = {"both": {"hidden_units": 16}, "frame": {"epochs": 6.0}, "sequence": {"epochs": 1.0}}
REQUEST = Request("tiny", seeds=(0, 1), **SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tiny_home: Path, short_rehearsals: None) -> Baseline:
    """A baseline that was never interrupted."""
    return make_baseline(REQUEST)


def summaries(runs: tuple[Run, ...]) -> dict[str, object]:
    """The summary of each run by its name."""
    return {run.name: run.summary for run in runs}


@pytest.mark.slow
def test_a_baseline_trains_tests_and_reports(whole: Baseline) -> None:
    """Each seed has cross entropy and what follows; the report says what was chosen."""
    ce, mmi, ce_1, mmi_1 = whole.runs
    assert [run.name.rpartition("-")[0] for run in whole.runs] == [
        "ce-tiny",
        "mmi-tiny",
        "ce-tiny-seed1",
        "mmi-tiny-seed1",
    ]
    assert {run.settings.model.hidden_units for run in whole.runs} == {16}
    assert mmi.record.parent_run == ce.name
    assert mmi_1.record.parent_run == ce_1.name
    assert all(run.summary.test_wer is not None for run in whole.runs)
    page = whole.report.read_text()
    for choice in (*whole.plan.frame, *whole.plan.sequence):
        assert choice.name in page
    assert "What was chosen, and why" in page
    assert f"learning_rate={ce.settings.updates.learning_rate:g}" in page


@pytest.mark.slow
def test_a_baseline_that_is_done_computes_nothing(
    whole: Baseline, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """The same command again prints the same table, and trains, tunes and tests nothing."""
    for module, name in (
        (jobs.evaluate, "test"),
        (jobs.evaluate, "tune"),
        (jobs.runs, "train"),
        (jobs.runs, "resume"),
        (jobs, "foretell"),
    ):
        monkeypatch.setattr(module, name, None)
    words = ["--set", "hidden_units=16", "--frame", "epochs=6", "--sequence", "epochs=1"]
    assert main.main(["baseline", "tiny", "--seeds", "0,1", *words]) == 0
    printed = capsys.readouterr().out
    assert all(run.name in printed for run in whole.runs)
    assert str(whole.report) in printed.splitlines()[-2]


@pytest.mark.slow
def test_killed_at_every_step_it_comes_to_the_same_table(
    whole: Baseline, prepared_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed once in each piece of its work, it has the same runs and numbers in the end.

    One seed has all kinds of pieces. The report, which is written anew each time, is left out.
    """
    shutil.copytree(prepared_tiny, tmp_path / "corpora" / "tiny")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path))
    forecast = Forecast(1.0, 1.0, (True, True), refined=True)
    monkeypatch.setattr(jobs, "foretell", lambda *given: forecast)
    monkeypatch.setattr(jobs, "write_report", lambda *given, **more: tmp_path / "report.html")

    class Killed(Exception):
        pass

    met: set[str] = set()

    def kill(done: int, total: int, what: str) -> None:
        if what not in met:
            met.add(what)
            raise Killed

    starts = 0
    baseline = None
    while baseline is None:
        starts += 1
        try:
            baseline = make_baseline(replace(REQUEST, seeds=(0,)), progress=kill)
        except Killed:
            continue
    assert starts > 5
    assert summaries(baseline.runs) == summaries(whole.runs[:2])
    assert display_rows(baseline.runs) == display_rows(whole.runs[:2])
    assert len(all_runs()) == len(baseline.runs) == 2


@pytest.mark.slow
def test_another_question_has_other_choices(
    whole: Baseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept plan serves the same question only, and a damaged one is named."""
    corpus = Corpus.open("tiny")
    assert jobs.known_plan(REQUEST, corpus) == whole.plan
    assert jobs.known_plan(replace(REQUEST, seeds=(0, 1, 2)), corpus) == whole.plan
    assert jobs.known_plan(replace(REQUEST, criterion="smbr"), corpus) is None
    path = plan_file("tiny")
    kept = path.read_text()
    path.write_text("{}")
    with pytest.raises(UserError, match=r"tiny\.json: "):
        jobs.known_plan(REQUEST, corpus)
    path.write_text(kept)


@pytest.mark.slow
def test_a_rate_that_diverges_can_be_foretold(whole: Baseline) -> None:
    """The time of training does not depend on its rate, and is foretold where that diverges."""
    wild = with_given(list(whole.plan.frame), {"learning_rate": 100.0})
    forecast = foretell(whole.corpus, replace(whole.plan, frame=tuple(wild)))
    assert forecast.frame > 0
    assert forecast.sequence > 0


@pytest.mark.slow
def test_too_few_hours_are_refused(whole: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours into which not even the least training fits are answered with what it takes."""
    with pytest.raises(UserError, match="hours"):
        make_baseline(replace(REQUEST, hours=1e-6))


@pytest.mark.slow
def test_a_baseline_prepares_its_data(data_folder: Path) -> None:
    """A source is prepared under the name; settings of the preparation need a source.

    What follows the preparation is in the rehearsal of the paper, which has a source too.
    """

    class Prepared(Exception):
        pass

    def stop_at_its_description(line: str) -> None:
        raise Prepared(line)

    request = Request("new", Source(synthetic="is", size="tiny"), {"states": 132})
    with pytest.raises(Prepared, match="new"):
        make_baseline(request, out=stop_at_its_description)
    assert Corpus.open("new").info["preparation"]["states"] == 132
    assert main.main(["baseline", "new", "--states", "150"]) == 1
