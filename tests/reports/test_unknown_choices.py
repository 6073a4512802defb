"""Runs with a choice that a user added can be looked at where its module is unknown."""

import pytest
from fake_runs import fake_run

from workbench.figures.tables import run_rows
from workbench.reports.report import write_report
from workbench.runs.train import experiment_of
from workbench.settings import Settings, UserError
from workbench.storage.files import read_json, write_json
from workbench.storage.run import RECORD, Run

pytestmark = pytest.mark.usefixtures("data_folder")


@pytest.mark.parametrize("setting", ["optimizer", "shuffling", "criterion"])
def test_a_colleague_sees_the_run(setting: str) -> None:
    """Its report and table are made; to train with it the module must be named."""
    run = a_run_with(setting, "of-my-own")
    assert Settings.of_record(run.record.settings).to_dict()[setting] == "of-my-own"
    assert run_rows([run])
    assert write_report([run]).exists()

    with pytest.raises(UserError, match=f"{setting}='of-my-own': choose one of .*EXTENSIONS"):
        experiment_of(run)


@pytest.mark.parametrize("setting, value", [("clock", "of-my-own"), ("batch", "many")])
def test_what_nobody_can_add_is_refused(setting: str, value: str) -> None:
    """A damaged record is no added choice."""
    with pytest.raises(UserError, match=f"{setting}='{value}'"):
        _ = a_run_with(setting, value).settings


def a_run_with(setting: str, value: str) -> Run:
    """A run of which one setting was recorded with this value."""
    run = fake_run("ce-01234567", Settings())
    record = read_json(run.folder / RECORD)
    record["settings"][setting] = value
    write_json(run.folder / RECORD, record)
    return run
