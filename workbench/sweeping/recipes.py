"""Ready-made sweeps, one JSON file each under data/recipes/sweeps: the experiments that the project exists for."""

from pathlib import Path
from typing import Any

from workbench.settings import UserError
from workbench.store import read_json
from workbench.sweeping.spec import Sweep

FOLDER = Path(__file__).resolve().parents[2] / "data" / "recipes" / "sweeps"


def recipes() -> dict[str, str]:
    """Name and question of each recipe."""
    return {p.stem: read_json(p)["question"] for p in sorted(FOLDER.glob("*.json"))}


def _read(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise UserError(f"{name}: no such recipe; choose one of {', '.join(recipes())}")
    return read_json(path)


def starts_trained(name: str) -> bool:
    """Whether a recipe starts from a trained network, and so needs ``init``."""
    return _read(name).get("starts") == "trained"


def recipe(name: str, corpus: str, size: str = "watch", init: str | None = None, **changes: Any) -> Sweep:
    """The sweep ``name`` (e.g. ``e1-shuffling``) on ``corpus`` at ``size`` watch or laptop; ``changes`` to its fields.

    ``init``: the run to start from, for those that start from a trained network.
    """
    path, record = FOLDER / f"{name}.json", _read(name)
    if size not in record["sizes"]:
        raise UserError(f"{name}: no size {size}; choose one of {', '.join(record['sizes'])}")
    if record.pop("starts", "") == "trained" and not init:
        raise UserError(f"{name}: starts from a trained network: name a run with init (--init)")
    sizes = record.pop("sizes")
    settings = {**record.pop("settings", {}), **sizes[size].get("settings", {}), **changes.pop("settings", {})}
    rest = {k: v for k, v in sizes[size].items() if k != "settings"}
    given = {"name": f"{name}-{size}-{corpus}", "corpus": corpus, "init": init, **record, **rest, "settings": settings}
    return Sweep.of({**given, **changes}, path)
