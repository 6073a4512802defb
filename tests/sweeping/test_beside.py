"""Sweeps and their cells are the same with and without settings that only add rows."""

import json
from pathlib import Path

import pytest
from fake_sweeps import Outcomes, small

from workbench.settings import UserError
from workbench.sweeping import find_sweep, read_recipe, run_sweep

MMI = {"criterion": "mmi", "replicas": 2}


def of_mmi(**settings: int):
    """A sweep of two cells of MMI."""
    return small(settings={**MMI, **settings}, axes={"batch": [8, 16]}, seeds=[0])


@pytest.mark.parametrize("name", ["e3-fetch-interval", "e3ab-fetch-interval-layers"])
def test_a_recipe_begun_before_drift_was_measured_is_continued(
    data_folder: Path, name: str
) -> None:
    """By its own command, which it keeps; its cells have the names that they had."""
    recipe = read_recipe(name, "c", "watch")
    recipe.save()
    path = recipe.folder / "sweep.json"
    before = json.loads(path.read_text())
    assert before["settings"].pop("drift_every") > 0
    path.write_text(json.dumps(before))
    old = find_sweep(recipe.name)

    assert recipe.save().command() == old.command() == recipe.recipe
    assert [cell.id for cell in old.cells()] == [cell.id for cell in recipe.cells()]
    assert find_sweep(recipe.name).settings["drift_every"] > 0


def test_cells_without_drift_are_not_run_again(data_folder: Path) -> None:
    """Nor are those with, where it is wanted no more."""
    outcomes = Outcomes()
    run_sweep(of_mmi(), executor=outcomes)
    run_sweep(of_mmi(drift_every=5), executor=outcomes)
    run_sweep(of_mmi(), executor=outcomes)
    assert outcomes.asked == ["batch=8 0", "batch=16 0"]
    with pytest.raises(UserError, match="another settings"):
        of_mmi(epochs=3).save()


def test_cells_that_differ_in_drift_alone_are_two() -> None:
    """As an axis it is not left out, or a value would be lost."""
    sweep = small(settings=MMI, axes={"drift_every": [0, 5]}, seeds=[0])
    drifts = {cell.id: cell.settings.measuring.drift_every for cell in sweep.cells()}
    assert list(drifts.values()) == [0, 5]
    assert of_mmi().cells()[0].id == of_mmi(drift_every=5).cells()[0].id
