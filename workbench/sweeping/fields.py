"""What the fields of a sweep may be: their types, and how many cells there may be."""

import math
from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from workbench.settings import SETTINGS, UserError, Value
from workbench.settings.description import shown

LARGEST_SWEEP = 10_000  # cells; each of them trains a run


class AxisRange(TypedDict):
    """A range that the values of an axis are drawn from, evenly or, with ``log``, by factors."""

    low: float
    high: float
    log: NotRequired[bool]


Axis = Sequence[Value] | AxisRange


TEXTS = (
    "name",
    "corpus",
    "preset",
    "transfer",
    "run_prefix",
    "rates",
    "question",
    "paper",
    "recipe",
)
MAPPINGS = ("settings", "axes", "start", "rates_at")


def check_types(fields: Mapping[str, object]) -> None:
    """Raise UserError that names the first field of a sweep whose value is of a wrong type."""
    for name in TEXTS:
        _check(isinstance(fields[name], str), name, "text", fields[name])
    for name in MAPPINGS:
        _check_mapping(name, fields[name])
    _check(bool(fields["corpus"]), "corpus", "the name of a corpus", fields["corpus"])
    _check(isinstance(fields["init"], str | None), "init", "the name of a run", fields["init"])
    for name in ("test", "start_per_seed"):
        _check(isinstance(fields[name], bool), name, "true or false", fields[name])

    factor = fields["rate_factor"]
    number = float(factor) if isinstance(factor, int | float) else 0.0
    _check(0 < number < math.inf, "rate_factor", "a number above 0", factor)

    points = fields["points"]
    _check(is_list(points), "points", "a list of settings", points)
    if isinstance(points, Sequence):
        for number, point in enumerate(points):
            _check_mapping(f"points[{number}]", point)

    draws = fields["draws"]
    count = draws if isinstance(draws, int) and not isinstance(draws, bool) else -1
    wanted = f"a whole number between 0 and {LARGEST_SWEEP}"
    _check(0 <= count <= LARGEST_SWEEP, "draws", wanted, draws)
    _check(is_list(fields["seeds"]), "seeds", "a list of whole numbers", fields["seeds"])


def is_list(value: object) -> bool:
    """Whether a value is a list or a tuple, as JSON and Python have them."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def parse_seeds(name: str, seeds: Sequence[object]) -> list[int]:
    """Return the seeds of sweep ``name``, each once; UserError if there is none."""
    parsed = [int(SETTINGS["seed"].parse(seed)) for seed in seeds]
    if not parsed:
        raise UserError(f"sweep {name}: no seeds; give at least one")
    return list(dict.fromkeys(parsed))


def check_size(name: str, rows: int, seeds: int) -> None:
    """Raise UserError if a sweep has more cells than anybody can run."""
    cells = rows * seeds
    if cells > LARGEST_SWEEP:
        raise UserError(
            f"sweep {name}: {cells} cells, and each trains a run; at most {LARGEST_SWEEP}: "
            "give fewer values, draws or seeds"
        )


def parse_range(name: str, given: Mapping[str, object]) -> AxisRange:
    """Return the range of an axis, ``low`` to ``high``, from which values are drawn.

    Raises UserError for a range of a setting that is no number, that is empty, or whose logarithm
    is drawn although it reaches zero.
    """
    setting = SETTINGS[name]
    if set(given) - {"log"} != {"low", "high"}:
        raise UserError(f"axis {name}: a range is low, high and perhaps log")

    low = setting.parse(given["low"])
    high = setting.parse(given["high"])
    if isinstance(low, str | bool) or isinstance(high, str | bool):
        raise UserError(f"axis {name}: a range is one of numbers; list the values")

    log = given.get("log", False)
    if not isinstance(log, bool):
        raise UserError(f"axis {name}: log={shown(log)}: must be true or false")
    if low > high:
        raise UserError(f"axis {name}: low={low} is above high={high}")
    if log and low <= 0:
        raise UserError(f"axis {name}: low={low} has no logarithm; choose low > 0, or log: false")
    found = AxisRange(low=low, high=high)
    if "log" in given:
        found["log"] = log
    return found


def _check_mapping(name: str, value: object) -> None:
    _check(isinstance(value, Mapping), name, "an object {...} of settings", value)
    if isinstance(value, Mapping):
        for key in value:
            _check(isinstance(key, str), name, "an object whose keys are settings", value)


def _check(right: bool, name: str, wanted: str, value: object) -> None:
    if not right:
        raise UserError(f"{name} must be {wanted}, not {shown(value)}")
