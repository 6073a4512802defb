"""Ready-made sweeps, one JSON file each under workbench/data/recipes."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Unpack

from workbench.data import RECIPES, STARTS
from workbench.settings import Value, no_such
from workbench.storage.files import read_json
from workbench.storage.run import Run
from workbench.sweeping.spec import Rates, Sweep, SweepChanges, SweepFields

NETWORK = ("hidden_layers", "hidden_units")
NETWORK_OF_START = (*NETWORK, "precision")
"""Settings that a sweep has in common with the run that it starts from."""

ADDED_BY_COMMAND = {"name", "settings", "seeds", "test", "rates"}
"""Changes to a recipe that its command line can express."""


class RecipeFile(SweepChanges, total=False):
    """A recipe as its file has it; what its size says goes before what the recipe says."""

    sizes: Mapping[str, SweepChanges]
    starts: str  # "trained": from a trained network


def recipe_questions() -> dict[str, str]:
    """Return the name and the question of each recipe."""
    return {path.stem: read_json(path)["question"] for path in sorted(RECIPES.glob("*.json"))}


def starts_trained(name: str) -> bool:
    """Return whether a recipe starts from a trained network; raises UserError for another name."""
    return _read_file(name).get("starts") == "trained"


def recipe_start(size: str, **changes: Value) -> dict[str, Value]:
    """Return the settings of the cross-entropy run that sequence training starts from.

    They are changes to the preset ``laptop``.
    """
    starts: dict[str, dict[str, Value]] = read_json(STARTS)
    return {**starts[size], **changes}


def read_recipe(
    which: str,
    corpus: str,
    size: str = "watch",
    init: Run | None = None,
    **changes: Unpack[SweepChanges],
) -> Sweep:
    """Return the recipe ``which`` (e.g. ``e1-shuffling``) as a sweep on the corpus of that name.

    ``size`` is watch or laptop; ``changes`` replace fields of the sweep. A recipe that starts from
    a trained network takes that of ``init``, whatever its size. Without ``init``, the sweep first
    trains its own start, once per corpus and size. With ``rates`` auto the recipe's own learning
    rates are left out. Raises UserError for an unknown recipe or size.
    """
    recipe = _read_file(which)
    sizes = recipe["sizes"]
    if size not in sizes:
        raise no_such(f"size of {which}", size, sizes)
    of_size = sizes[size]
    if changes.get("rates") == Rates.AUTO:
        recipe = _without_rates(recipe)
        of_size = _without_rates(of_size)

    changed = changes.get("settings", {})
    settings = {**recipe.get("settings", {}), **of_size.get("settings", {}), **changed}
    start: Mapping[str, Value] = {}
    if recipe.get("starts") == "trained" and init is not None:
        network = init.settings.to_dict()
        settings |= {field: network[field] for field in NETWORK}
    elif recipe.get("starts") == "trained":
        network = {field: settings[field] for field in NETWORK_OF_START if field in settings}
        start = recipe_start(size, **network)

    name = changes.get("name", f"{which}-{size}-{Path(corpus).name}")
    fields: SweepFields = {
        "corpus": corpus,
        "init": init.name if init else None,
        "start": start,
        "recipe": _command(which, corpus, size, name, init, changes),
        **_fields_of_sweep(recipe),
        **of_size,
        **changes,
        "name": name,
        "settings": settings,
    }
    return Sweep.of(fields, RECIPES / f"{which}.json")


def _without_rates(fields: RecipeFile | SweepChanges) -> RecipeFile:
    """Return fields of a recipe or of its size without learning rates in settings and points."""
    kept: RecipeFile = {**fields}
    if "settings" in kept:
        kept["settings"] = _without_rate(kept["settings"])
    if "points" in kept:
        kept["points"] = [_without_rate(point) for point in kept["points"]]
    return kept


def _without_rate(settings: Mapping[str, Value]) -> dict[str, Value]:
    return {name: value for name, value in settings.items() if name != "learning_rate"}


def _fields_of_sweep(recipe: RecipeFile) -> SweepChanges:
    """What a recipe has in common with a sweep; `Sweep.of` refuses a field that is not known."""
    fields: RecipeFile = {**recipe}
    fields.pop("sizes")
    fields.pop("starts", "")
    return fields


def _command(
    which: str,
    corpus: str,
    size: str,
    name: str,
    init: Run | None,
    changes: SweepChanges,
) -> str:
    """The command line that makes the sweep, or "" if it cannot express the changes."""
    if not set(changes) <= ADDED_BY_COMMAND:
        return ""
    words = ["workbench", "sweep", corpus, "--recipe", which, "--size", size, "--name", name]
    if init is not None:
        words += ["--init", init.name]
    settings = changes.get("settings", {})
    if settings:
        words += ["--set", *(f"{field}={value}" for field, value in settings.items())]
    if "seeds" in changes:
        words += ["--seeds", ",".join(str(seed) for seed in changes["seeds"])]
    if "rates" in changes:
        words += ["--rates", changes["rates"]]
    if changes.get("test") is False:
        words.append("--no-test")
    return shlex.join(words)


def _read_file(name: str) -> RecipeFile:
    """The recipe as its file has it."""
    recipes = recipe_questions()
    if name not in recipes:
        raise no_such("recipe", name, recipes)
    recipe: RecipeFile = read_json(RECIPES / f"{name}.json")
    return recipe
