"""The run that a sweep starts from is found again."""

from pathlib import Path

from fake_runs import fake_run

from workbench.settings import preset
from workbench.storage.files import read_json, write_json
from workbench.sweeping import Sweep
from workbench.sweeping.starting_run import find_start


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
