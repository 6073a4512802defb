"""A grid of scales, searched on held-out data and widened where the best lies at its edge.

Where few held-out data make several scales equally good, the middle of these is the best: their
corner would rest on how the grid was laid.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple, TypeVar

import pandas as pd

from workbench.settings import SETTINGS, UserError

WIDENINGS = 4
"""How often a grid is widened at most."""

ERROR = "wer"
"""The column of word error rates, beside those of the scales."""


class Scales(NamedTuple):
    """Scales of one recognition, each under the name of its setting."""

    acoustic_scale: float
    prior_scale: float
    transition_scale: float


Values = TypeVar("Values", bound=tuple[float, ...])
"""One value of each scale."""

Grid = Mapping[str, Sequence[float]]
"""The values of each scale that are combined."""


def search_grid(grid: Grid, measure: Callable[[Scales], float]) -> pd.DataFrame:
    """Return the word error rate of each combination of ``grid``, the best first.

    ``grid`` has the fields of `Scales`. Where the best value of a scale is the least or greatest of
    several, the grid goes on by the same factor, at most `WIDENINGS` times and within the range of
    the setting. Raises UserError for a value outside it.
    """
    values = {name: checked_values(name, grid[name]) for name in Scales._fields}
    found: dict[Scales, float] = {}
    for _ in range(1 + WIDENINGS):
        for scales in itertools.starmap(Scales, itertools.product(*values.values())):
            if scales not in found:
                found[scales] = measure(scales)

        best = best_scales(found)
        wider = {name: widen(name, values[name], getattr(best, name)) for name in values}
        if wider == values:
            break
        values = wider

    best = best_scales(found)
    ordered = sorted(found, key=lambda scales: (found[scales], scales != best))
    rows = [{**scales._asdict(), ERROR: found[scales]} for scales in ordered]
    return pd.DataFrame(rows)


def best_scales(errors: Mapping[Values, float]) -> Values:
    """Return the scales with the least error, the middle ones of those that are equally good."""
    ranks = [
        {value: rank for rank, value in enumerate(sorted(set(column)))}
        for column in zip(*errors, strict=True)
    ]

    def places(scales: Values) -> list[int]:
        """How many smaller values of each scale were tried."""
        return [rank[value] for rank, value in zip(ranks, scales, strict=True)]

    least = min(errors.values())
    good = sorted(scales for scales, error in errors.items() if error == least)
    middle = [fmean(column) for column in zip(*map(places, good), strict=True)]
    return min(good, key=lambda scales: math.dist(places(scales), middle))


def checked_values(name: str, values: Sequence[float]) -> list[float]:
    """Return the distinct ``values`` of a setting, ascending; UserError outside its range."""
    if not values:
        raise UserError(f"{name}: give at least one value")
    return sorted({float(str(SETTINGS[name].parse(value))) for value in values})


def widen(name: str, values: Sequence[float], best: float) -> list[float]:
    """Return the ascending ``values``, with one more beyond the edge at which ``best`` lies."""
    if len(values) < 2 or values[0] < best < values[-1]:
        return list(values)

    at_low = best == values[0]
    factor = values[0] / values[1] if at_low else values[-1] / values[-2]
    if at_low and best == 0:
        return list(values)

    beyond = float(f"{best * factor:.3g}")
    low = SETTINGS[name].low
    high = SETTINGS[name].high
    inside = (low is None or beyond >= low) and (high is None or beyond <= high)
    return sorted([*values, beyond]) if inside else list(values)


def edges(errors: pd.DataFrame) -> list[str]:
    """Return a sentence for each scale whose best value is the least or greatest of several.

    ``errors`` is the table of `search_grid`.
    """
    sentences = []
    for name in Scales._fields:
        tried = sorted(set(errors[name]))
        best = float(errors[name].iloc[0])
        if len(tried) > 1 and best in (tried[0], tried[-1]):
            which = "least" if best == tried[0] else "greatest"
            sentences.append(
                f"the best {name}, {best:g}, is the {which} that was tried: the true best may lie "
                "beyond it"
            )
    return sentences
