"""Tables of `test` and `rates` as JSON, for other programs."""

import json
from pathlib import Path

import pytest
from fake_runs import fake_run

from workbench import baseline, rates
from workbench.baseline import Baseline, Request
from workbench.baseline.job import Out
from workbench.baseline.plan import Plan
from workbench.cli.main import main
from workbench.prepare.corpus import Corpus
from workbench.recognise import evaluate
from workbench.settings import Settings
from workbench.storage.rate_search import RatePoint, RateSearch, RateTrial

pytestmark = pytest.mark.usefixtures("data_folder")


def test_a_test_prints_its_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object is the run's row, numbers as numbers, and nothing else is printed."""
    run = fake_run("ce", Settings())
    monkeypatch.setattr(evaluate, "test", lambda *given: run)
    assert main(["test", run.name, "--json"]) in (None, 0)
    row = json.loads(capsys.readouterr().out)
    assert row["run"] == run.name
    assert isinstance(row["replicas"], int)


def test_a_search_prints_its_trials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The object holds every trial and the rate; a curve that is asked for is written as well."""
    trial = RateTrial(0.01, (RatePoint(10, -2.5),), frames=10)
    search = RateSearch("ce", {}, "nothing", 10, 180, 1000, (trial,), 0.01)
    monkeypatch.setattr(Corpus, "open", staticmethod(lambda name: name))
    monkeypatch.setattr(rates, "find_rate", lambda *given: search)

    picture = tmp_path / "rates.png"
    assert main(["rates", "any", "--json", "--figure", str(picture)]) in (None, 0)
    found = json.loads(capsys.readouterr().out)
    assert found["rate"] == 0.01
    assert found["trials"][0]["points"][0]["criterion"] == -2.5
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_baseline_prints_its_runs_and_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lines for a person go where errors go, so that the object can be read."""
    runs = (fake_run("ce", Settings()), fake_run("mmi", Settings.of(criterion="mmi")))
    search = RateSearch("ce", {}, "nothing", 10, 180, 1000, (), 0.01)
    report = tmp_path / "report.html"

    def make(request: Request, *, out: Out, **given: object) -> Baseline:
        out("a line for a person")
        return Baseline(Corpus(tmp_path / "mine"), Plan({}, "", (), ()), runs, (search,), report)

    monkeypatch.setattr(baseline, "make_baseline", make)
    assert main(["baseline", "mine", "--json"]) in (None, 0)
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["corpus"] == "mine"
    assert found["learning_rates"] == {"ce": 0.01}
    assert [row["run"] for row in found["runs"]] == [run.name for run in runs]
    assert found["report"] == str(report)
    assert "a line for a person" in printed.err
