"""The description of a sweep: a corpus, shared settings, and axes along which runs differ.

A cell is one run of the sweep. It is identified by its settings alone, so values can be added to an
axis later and no cell changes its name.
"""

import contextlib
import dataclasses
import itertools
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypedDict, cast

import numpy as np

from workbench.settings import (
    BESIDE,
    PRESETS,
    SETTINGS,
    Settings,
    UserError,
    Value,
    check_name,
    did_you_mean,
    no_such,
    preset,
    rng,
    unknown_setting,
)
from workbench.storage.files import write_json
from workbench.storage.home import data_folder
from workbench.storage.records import read_object
from workbench.sweeping.fields import (
    Axis,
    check_size,
    check_types,
    is_list,
    parse_range,
    parse_seeds,
)

CELL_ID_DIGITS = 10


class SweepChanges(TypedDict, total=False):
    """The fields of a `Sweep` by which a ready-made one may be changed."""

    name: str
    preset: str
    settings: Mapping[str, Value]
    axes: Mapping[str, Axis]
    points: Sequence[Mapping[str, Value]]
    draws: int
    seeds: Sequence[int]
    start: Mapping[str, Value]
    start_per_seed: bool
    transfer: str
    run_prefix: str
    rates: str
    rate_factor: float
    rates_at: Mapping[str, Value]
    test: bool
    question: str
    paper: str
    recipe: str


class SweepFields(SweepChanges, total=False):
    """The fields of a `Sweep`, as a file of JSON or a call gives them."""

    corpus: str
    init: str | None


BASE_FIELDS = (
    "corpus",
    "preset",
    "settings",
    "init",
    "start",
    "start_per_seed",
    "transfer",
    "run_prefix",
    "rates",
    "rate_factor",
    "rates_at",
)
"""Fields that a saved sweep never changes."""


class Rates(StrEnum):
    """Where the learning rates of a sweep come from."""

    GIVEN = "given"  # from the settings
    AUTO = "auto"  # found for each cell; cells that differ in their seed share one


@dataclass(frozen=True)
class Cell:
    """One run of a sweep: its values of the axes, its seed, and all of its settings."""

    values: Mapping[str, Value]
    seed: int
    settings: Settings

    @property
    def id(self) -> str:
        """Ten hexadecimal digits, a function of the settings; those `BESIDE` count if varied."""
        return self.settings.digest(without=set(BESIDE) - self.values.keys())

    @property
    def label(self) -> str:
        """The values as text, e.g. ``shuffling=full replicas=10``."""
        words = [f"{name}={value}" for name, value in self.values.items()]
        return " ".join(words) or "as it is"


@dataclass(frozen=True)
class Sweep:
    """A sweep; ``axes`` are crossed with each other, with ``points`` and with ``seeds``.

    ``points`` are whole rows of settings that go together (50 replicas with their learning rate).
    With ``draws`` > 0 there are so many random cells: each axis is then a list to choose from, or
    ``{"low": a, "high": b, "log": true}``. Raises UserError for a description that cannot be, e.g.
    unknown settings; combinations that cannot be (full shuffling of a sequence criterion) are an
    error of `cells`, and never left out silently.

    Sweeps with one ``run_prefix`` share the runs of equal cells, those whose rates are found too.
    They must have the same corpus, start and rates, since the names of runs say settings alone.
    """

    name: str
    corpus: str
    preset: str = "laptop"
    settings: Mapping[str, Value] = field(default_factory=dict)  # changes to the preset
    axes: Mapping[str, Axis] = field(default_factory=dict)
    points: Sequence[Mapping[str, Value]] = ()
    draws: int = 0
    seeds: Sequence[int] = (0,)
    init: str | None = None  # run whose model all cells start from
    start: Mapping[str, Value] = field(default_factory=dict)  # or its settings; it is trained first
    start_per_seed: bool = False  # whether each seed has a start of its own
    transfer: str = ""  # corpus from whose start the start takes over its hidden layers
    run_prefix: str = ""  # what the runs are called after; by default the name
    rates: str = Rates.GIVEN  # a value of `Rates`
    rate_factor: float = 1.0  # the learning rate as a multiple of the one that is found
    rates_at: Mapping[str, Value] = field(default_factory=dict)  # changes to settings of searches
    test: bool = True  # whether each model is tested, which verdicts need
    question: str = ""
    paper: str = ""  # entry of data/paper that the results are compared with
    recipe: str = ""  # the command that made it, if that was a recipe

    def __post_init__(self) -> None:
        check_types(vars(self))
        for name in (self.name, self.prefix_of_runs):
            check_name("sweep", name, added=len("-") + CELL_ID_DIGITS)  # runs have its cells' ids
        if (self.start_per_seed or self.transfer) and not self.start:
            raise UserError(f"sweep {self.name}: start_per_seed and transfer need start")

        if self.preset not in PRESETS:
            raise no_such("preset", self.preset, PRESETS)
        object.__setattr__(self, "seeds", parse_seeds(self.name, self.seeds))

        named = {*self.settings, *self.axes, *self.start, *self._point_fields, *self.rates_at}
        unknown = sorted(named - SETTINGS.keys())
        if unknown:
            raise UserError(unknown_setting(unknown[0]))
        if self.rates not in tuple(Rates):
            raise UserError(f"sweep {self.name}: rates={self.rates}: {' or '.join(Rates)}")
        chosen = {*self.settings, *self.axes, *self._point_fields}
        if self.rates == Rates.AUTO and "learning_rate" in chosen:
            raise UserError("rates=auto finds learning_rate: do not set it as well")
        if self.rates == Rates.GIVEN and self._changes_rates:
            raise UserError(f"sweep {self.name}: rate_factor and rates_at need rates=auto")
        if "seed" in named:
            raise UserError("seeds are an axis of their own: give seeds=0,1,2")

        axes = {name: parse_axis(name, given, self.draws) for name, given in self.axes.items()}
        object.__setattr__(self, "axes", axes)
        points = max(1, len(self.points))
        crossed = points * math.prod(len(values) for values in axes.values())
        check_size(self.name, self.draws or crossed, len(self.seeds))

        set_twice = sorted(set(self._point_fields) & set(axes))
        if set_twice:
            raise UserError(f"{', '.join(set_twice)}: both an axis and part of the points")

    @property
    def _point_fields(self) -> list[str]:
        """The settings that points name, in their order and with repetitions."""
        return [name for point in self.points for name in point]

    @property
    def _changes_rates(self) -> bool:
        """Whether rates are others than those that are found for the cells themselves."""
        return self.rate_factor != 1.0 or bool(self.rates_at)

    @property
    def folder(self) -> Path:
        """The folder of the sweep's files."""
        return data_folder() / "sweeps" / self.name

    @property
    def prefix_of_runs(self) -> str:
        """What the runs of the cells are called after."""
        return self.run_prefix or self.name

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings in which cells differ, seeds aside."""
        return tuple(dict.fromkeys([*self.axes, *self._point_fields]))

    # --- cells

    def cells(self) -> list[Cell]:
        """Return every cell once, seeds innermost; raises UserError for settings that cannot be."""
        cells: dict[str, Cell] = {}
        rows = self._drawn() if self.draws else self._crossed()
        for values in rows:
            for seed in self.seeds:
                changes = {**self.settings, **values, "seed": int(seed)}
                cell = Cell(values, int(seed), preset(self.preset, **changes))
                cells.setdefault(cell.id, cell)
        return list(cells.values())

    def _crossed(self) -> Iterator[dict[str, Value]]:
        """Every combination of a point and one value of each axis."""
        for point in self.points or ({},):
            for values in itertools.product(*self.axes.values()):
                yield {**point, **dict(zip(self.axes, values, strict=True))}

    def _drawn(self) -> Iterator[dict[str, Value]]:
        """Random rows; row n is a function of (name, n), so more draws keep the first rows."""
        for n in range(self.draws):
            stream = rng(0, "sweep", self.name, n)
            values: dict[str, Value] = {}
            if self.points:
                values |= self.points[int(stream.integers(len(self.points)))]
            for name, axis in self.axes.items():
                values[name] = draw_value(stream, name, axis)
            yield values

    # --- files

    def save(self) -> "Sweep":
        """Save the sweep, joined with the saved one of this name, and return what was saved.

        Values, seeds, points and draws may be added to a saved sweep. Raises UserError if what all
        cells share, or the set of axes, has changed.
        """
        path = self.folder / "sweep.json"
        saved = self._joined(Sweep.load(self.folder)) if path.exists() else self
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(path, saved.to_dict())
        return saved

    def _joined(self, old: "Sweep") -> "Sweep":
        """This sweep with everything that ``old`` has as well."""
        before = old._compared()
        now = self._compared()
        changed = [name for name in BASE_FIELDS if before.get(name) != now.get(name)]
        if changed:
            raise UserError(
                f"sweep {self.name} exists with another {', '.join(changed)}; choose another name"
            )

        new_points = [point for point in self.points if point not in old.points]
        same = now == before
        return dataclasses.replace(
            self,
            axes=_joined_axes(old.axes, self.axes),
            seeds=list(dict.fromkeys([*old.seeds, *self.seeds])),
            points=[*old.points, *new_points],
            draws=max(old.draws, self.draws),
            question=self.question or old.question,
            paper=self.paper or old.paper,
            recipe=self.recipe if same else "",
        )

    def _compared(self) -> SweepFields:
        """The fields by which a sweep is known again: settings `BESIDE` its numbers may change."""
        settings = {name: value for name, value in self.settings.items() if name not in BESIDE}
        return dataclasses.replace(self, settings=settings).to_dict()

    def to_dict(self) -> SweepFields:
        """Return the fields as JSON has them."""
        return SweepFields(
            name=self.name,
            corpus=self.corpus,
            preset=self.preset,
            settings=dict(self.settings),
            axes=dict(self.axes),
            points=[dict(point) for point in self.points],
            draws=self.draws,
            seeds=list(self.seeds),
            init=self.init,
            start=dict(self.start),
            start_per_seed=self.start_per_seed,
            transfer=self.transfer,
            run_prefix=self.run_prefix,
            rates=self.rates,
            rate_factor=self.rate_factor,
            rates_at=dict(self.rates_at),
            test=self.test,
            question=self.question,
            paper=self.paper,
            recipe=self.recipe,
        )

    @classmethod
    def load(cls, folder: Path) -> "Sweep":
        """Return the sweep that is saved in ``folder``."""
        path = folder / "sweep.json"
        return cls.of(cast("SweepFields", read_object(path)), path)

    @classmethod
    def of(cls, fields: SweepFields, path: Path) -> "Sweep":
        """Return the sweep with these fields; what is wrong is a UserError that names ``path``."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in sorted(set(fields) - set(known)):
            hint = did_you_mean(name, known)
            raise UserError(f"{path}: no such field of a sweep: {name}{hint}")
        for name in ("name", "corpus"):
            if name not in fields:
                raise UserError(f"{path}: {name} is missing")
        try:
            return cls(**fields)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    # --- how to run it again

    def as_python(self) -> str:
        """Return the lines of Python that run this sweep."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        arguments = ""
        for name, value in self.to_dict().items():
            given = bool(value) or name == "test"
            if given and value != defaults[name]:
                arguments += f"    {name}={value!r},\n"

        return (
            f"from workbench.sweeping import Sweep, run_sweep\n\nrun_sweep(Sweep(\n{arguments}))\n"
        )

    def command(self) -> str:
        """Return the command that runs this sweep; unlike grids and recipes, others need a file."""
        if self.recipe:
            return self.recipe
        if self.draws or self.points or self.start or self.run_prefix or self._changes_rates:
            return f"workbench sweep --file {shlex.quote(f'{self.name}.json')}"

        words = ["workbench", "sweep", self.corpus, "--name", self.name, "--preset", self.preset]
        for name, values in self.axes.items():
            words += ["--axis", f"{name}={','.join(str(value) for value in values)}"]
        words += ["--seeds", ",".join(str(seed) for seed in self.seeds)]
        if self.settings:
            words += ["--set", *(f"{name}={value}" for name, value in self.settings.items())]
        if self.init:
            words += ["--init", self.init]
        if self.rates != Rates.GIVEN:
            words += ["--rates", self.rates]
        if not self.test:
            words.append("--no-test")
        return shlex.join(words)


# --- axes


def parse_axis(name: str, given: Axis, draws: int) -> Axis:
    """Return the values of an axis as its setting has them: a list, or a range if cells are drawn.

    Raises UserError for values that the setting cannot have.
    """
    setting = SETTINGS[name]
    if isinstance(given, Mapping):
        if not draws:
            raise UserError(f"axis {name}: a range needs draws; for a grid, list the values")
        return parse_range(name, given)

    values = list(given) if is_list(given) else [given]
    if not values:
        raise UserError(f"axis {name}: no values; list at least one")
    return list(dict.fromkeys(setting.parse(value) for value in values))


def draw_value(stream: np.random.Generator, name: str, axis: Axis) -> Value:
    """Draw a value of an axis: one of a list, or one of a range, rounded to four digits."""
    if not isinstance(axis, Mapping):
        return axis[int(stream.integers(len(axis)))]

    low = axis["low"]
    high = axis["high"]
    if axis.get("log"):
        value = math.exp(stream.uniform(math.log(low), math.log(high)))
    else:
        value = stream.uniform(low, high)

    setting = SETTINGS[name]
    return setting.parse(round(value) if setting.kind is int else float(f"{value:.4g}"))


def _joined_axes(old: Mapping[str, Axis], new: Mapping[str, Axis]) -> dict[str, Axis]:
    """Axes with the values of both, the old ones first; ranges are those of ``new``."""
    if set(old) != set(new):
        raise UserError(
            f"this sweep has the axes {', '.join(old) or 'none'}, not {', '.join(new) or 'none'}; "
            "choose another name"
        )

    joined: dict[str, Axis] = {}
    for name, values in new.items():
        is_range = isinstance(values, Mapping)
        joined[name] = values if is_range else list(dict.fromkeys([*old[name], *values]))
    return joined


# --- saved sweeps


def find_sweep(name: str) -> Sweep:
    """Return the saved sweep of this name; raises UserError that lists the saved ones."""
    saved = saved_sweeps()
    if name not in saved:
        raise no_such("sweep", name, saved)
    return Sweep.load(saved[name])


def saved_sweeps() -> dict[str, Path]:
    """Return the folders of all saved sweeps by their names."""
    paths = sorted((data_folder() / "sweeps").glob("*/sweep.json"))
    return {path.parent.name: path.parent for path in paths}


def all_sweeps() -> list[Sweep]:
    """Return every saved sweep that can be read, by name.

    A damaged one must not keep the others from being used: `workbench doctor` and whatever asks for
    it by name tell what is wrong with it.
    """
    found = []
    for folder in saved_sweeps().values():
        with contextlib.suppress(UserError):
            found.append(Sweep.load(folder))
    return found
