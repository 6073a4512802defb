"""The campaign of the paper: what it asks for, how long it takes, and a rehearsal of all of it."""

import json
from pathlib import Path

import pytest

from workbench.baseline import job
from workbench.baseline.paper import (
    MACHINES,
    REPLICAS,
    SPEECH_HOURS,
    TWO_CORES,
    paper_request,
    size_for,
    stages_of,
)
from workbench.baseline.request import Request
from workbench.cli import main
from workbench.corpus.synthesis.difficulty import SIZES
from workbench.prepare.corpus import Corpus
from workbench.settings import UserError
from workbench.settings.frame import FRAMES_PER_SECOND
from workbench.storage.run import all_runs


@pytest.mark.parametrize(
    ("hours", "size"),
    [(0.01, "tiny"), (0.1, "smoke"), (2, "demo"), (2.1, "default"), (60, "paper")],
)
def test_hours_of_speech_choose_the_corpus(hours, size):
    """The smallest that has them."""
    assert size_for(hours) == size


@pytest.mark.parametrize("hours", [0, -1, 61, float("nan")])
def test_hours_that_no_corpus_has_are_refused(hours):
    """One line that says which there are."""
    with pytest.raises(UserError, match="at most 60 hours"):
        size_for(hours)


def test_every_size_has_its_hours(prepared_tiny: Path):
    """The table knows all sizes, and the tiny corpus has about the speech that the table says."""
    assert SPEECH_HOURS.keys() == SIZES.keys()
    frames = Corpus(prepared_tiny).split("train").frames
    assert frames / FRAMES_PER_SECOND / 3600 == pytest.approx(SPEECH_HOURS["tiny"], abs=0.005)


def test_the_campaign_is_the_paper_s():
    """One model by cross entropy, MMI from it by one replica and by fifty."""
    request = paper_request("paper")
    assert request.name == "paper"
    assert request.replicas == (1, 50)
    assert request.criterion == "mmi"
    assert paper_request("smoke").name == "paper-smoke"
    names = " ".join(stage.name for stage in stages_of("paper", paper_request("paper")))
    assert "1 replica " in f"{names} " and "50 replicas" in names and "3 tests" in names


@pytest.mark.parametrize("size", SIZES)
def test_each_stage_takes_time(size):
    """More on two cores than with a GPU, and more for more replicas' trainings."""
    stages = stages_of(size, paper_request(size))
    assert len(stages) == 5 + len(REPLICAS)
    for stage in stages:
        slow, fast = [stage.seconds(machine) for machine in MACHINES]
        assert slow > fast > 0
    alone = sum(stage.seconds(TWO_CORES) for stage in stages_of(size, paper_request(size, [1])))
    assert alone < sum(stage.seconds(TWO_CORES) for stage in stages)


def test_the_forecast_is_printed_and_nothing_is_made(data_folder: Path, capsys):
    """A line for each stage, and where the speeds come from."""
    assert main.main(["paper", "--foretell", "--hours", "60"]) == 0
    printed = capsys.readouterr().out
    assert "all of it" in printed
    assert "an estimate from parts" in printed
    assert not list(data_folder.iterdir())


@pytest.mark.parametrize(("hours", "said"), [("0.16", True), ("60", False)])
def test_a_forecast_of_a_rehearsal_says_that_it_is_too_long(
    data_folder: Path, capsys, hours: str, said: bool
):
    """The speeds are those of a network that a rehearsal does not train."""
    assert main.main(["paper", "--foretell", "--hours", hours]) == 0
    assert ("a rehearsal takes less" in capsys.readouterr().out) == said


def test_the_forecast_is_read_by_other_programs(data_folder: Path, capsys):
    """The object has the seconds of each stage on each machine, and nothing else is printed."""
    assert main.main(["paper", "--foretell", "--hours", "60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    stages = stages_of("paper", paper_request("paper"))
    assert [stage["stage"] for stage in found["stages"]] == [stage.name for stage in stages]
    machines = {machine.name for machine in MACHINES}
    assert all(stage["seconds"].keys() == machines for stage in found["stages"])


def test_given_settings_are_foretold(data_folder: Path, capsys):
    """Epochs and rates that are given count; what the speeds do not know is named."""
    command = ["paper", "--foretell", "--hours", "60", "--frame", "epochs=3", "learning_rate=0.1"]
    assert main.main([*command, "--sequence", "epochs=2", "--set", "hidden_units=512"]) == 0
    printed = capsys.readouterr().out
    assert "cross entropy, 3 epochs" in printed
    assert "MMI, 2 epochs, 50 replicas" in printed
    assert "rate of MMI" in printed
    assert "rate of cross entropy" not in printed
    assert "not foretold: hidden_units" in printed
    assert main.main(["paper", "--foretell", "--frame", "epoch=3"]) == 1
    assert "--frame epoch=3: no such setting" in capsys.readouterr().err


def test_replicas_are_given_once_each():
    """Two runs of one name could not be told apart."""
    for replicas in ((), (2, 2)):
        with pytest.raises(UserError, match="each number of replicas once"):
            Request("x", replicas=replicas)


@pytest.mark.slow
def test_a_rehearsal_goes_from_nothing_to_a_report(
    data_folder: Path,
    short_rehearsals: None,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    """Synthesis, three trainings, three tests; the same command again computes nothing."""
    command = ["paper", "--hours", "0.02", "--replicas", "1,3", "--jobs", "1"]
    command += ["--set", "hidden_units=16", "--frame", "epochs=3", "learning_rate=0.05"]
    command += ["--sequence", "epochs=1", "learning_rate=0.002"]
    assert main.main(command) == 0
    capsys.readouterr()
    made = {run.name: run for run in all_runs()}
    kinds = sorted(name.rpartition("-")[0] for name in made)
    assert kinds == ["ce-paper-tiny", "mmi-paper-tiny", "mmi-paper-tiny-3r"]
    assert all(run.summary.tested for run in made.values())

    [three] = [run for name, run in made.items() if "-3r-" in name]
    [one] = [
        run for name, run in made.items() if name.startswith("mmi-paper-tiny-") and run != three
    ]
    assert three.settings.asynchrony.replicas == 3
    assert three.settings.clock.kind == "cost"
    assert three.record.parent_run == one.record.parent_run

    again = data_folder / "again.html"
    monkeypatch.setattr(job, "write_report", lambda *given, **more: again)
    assert main.main(command) == 0
    assert {run.name for run in all_runs()} == made.keys()
    assert f"report: {again}" in capsys.readouterr().out
