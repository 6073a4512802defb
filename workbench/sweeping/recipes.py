"""Ready-made sweeps, one JSON file each under workbench/data/recipes: the experiments that the project exists for."""

import shlex
from typing import Any

from workbench.data import RECIPES, STARTS
from workbench.settings import UserError
from workbench.storage.run import find_run, read_json
from workbench.sweeping.spec import Sweep

NETWORK = ("hidden_layers", "hidden_units")
SHARED = (*NETWORK, "precision")  # of a sweep and the run that it starts from


def recipes() -> dict[str, str]:
    """Name and question of each recipe."""
    return {p.stem: read_json(p)["question"] for p in sorted(RECIPES.glob("*.json"))}


def _read(name: str) -> dict[str, Any]:
    path = RECIPES / f"{name}.json"
    if not path.exists():
        raise UserError(f"{name}: no such recipe; choose one of {', '.join(recipes())}")
    return read_json(path)


def starts_trained(name: str) -> bool:
    """Whether a recipe starts from a trained network."""
    return _read(name).get("starts") == "trained"


def start(size: str, **changes: Any) -> dict[str, Any]:
    """Settings, on top of the preset laptop, of the cross entropy from which sequence training starts."""
    return {**read_json(STARTS)[size], **changes}


def recipe(
    which: str, corpus: str, size: str = "watch", init: str | None = None, **changes: Any
) -> Sweep:
    """The sweep ``which`` (e.g. ``e1-shuffling``) on ``corpus`` at ``size`` watch or laptop; ``changes`` to its fields.

    Those that start from a trained network take that of the run ``init``, whatever its size; without one the sweep
    trains its own first, once per corpus and size.
    """
    record = _read(which)
    if size not in record["sizes"]:
        raise UserError(f"{which}: no size {size}; choose one of {', '.join(record['sizes'])}")
    own, trained = record.pop("sizes")[size], record.pop("starts", "") == "trained"
    changed = changes.pop("settings", {})
    settings = {**record.pop("settings", {}), **own.pop("settings", {}), **changed}
    if trained and init:
        settings |= {field: find_run(init).settings.to_dict()[field] for field in NETWORK}
    elif trained:
        record["start"] = start(size, **{k: settings[k] for k in SHARED if k in settings})
    own_name = changes.pop("name", f"{which}-{size}-{corpus}")
    words = ["workbench", "sweep", corpus, "--recipe", which, "--size", size, "--name", own_name]
    words += ["--init", init] if init else []
    words += ["--set", *(f"{k}={v}" for k, v in changed.items())] if changed else []
    given = {
        "name": own_name,
        "corpus": corpus,
        "init": init,
        **record,
        **own,
        "settings": settings,
    }
    words += ["--seeds", ",".join(map(str, changes["seeds"]))] if "seeds" in changes else []
    words += ["--no-test"] if changes.get("test") is False else []
    command = shlex.join(words) if set(changes) <= {"seeds", "test"} else ""
    return Sweep.of({**given, "recipe": command, **changes}, RECIPES / f"{which}.json")
