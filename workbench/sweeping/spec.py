"""What a sweep is: a corpus, settings that all runs share, and the axes along which they differ.

A cell is one run of it, known by its settings alone: values can be added to an axis later and no cell changes its name.
"""

import dataclasses
import itertools
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.settings import PRESETS, SETTINGS, Settings, UserError, preset, rng
from workbench.storage.run import home, read_json, write_json

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Cell:
    """One run: what it has of its own (``values`` of the axes, ``seed``), and all of its settings."""

    values: Mapping[str, Any]
    seed: int
    settings: Settings

    @property
    def id(self) -> str:
        """Ten hexadecimal digits, a function of the settings and nothing else."""
        return self.settings.digest()

    @property
    def label(self) -> str:
        """The values in words, e.g. ``shuffling=full replicas=10``."""
        return " ".join(f"{k}={v}" for k, v in self.values.items()) or "as it is"


@dataclass(frozen=True)
class Sweep:
    """A sweep; ``axes`` are crossed with each other, with ``points`` and with ``seeds``.

    ``points`` are whole rows of settings that go together (50 replicas with their learning rate); ``draws`` > 0 takes
    so many random cells: each axis is then a list to choose from, or ``{"low": a, "high": b, "log": true}``.
    Combinations that cannot be (full shuffling of a sequence criterion) are an error, never left out silently.
    """

    name: str
    corpus: str
    preset: str = "laptop"
    settings: Mapping[str, Any] = field(
        default_factory=dict
    )  # changes to the preset that all cells share
    axes: Mapping[str, Any] = field(default_factory=dict)
    points: Sequence[Mapping[str, Any]] = ()
    draws: int = 0
    seeds: Sequence[int] = (0,)
    init: str | None = None  # run whose model all start from
    start: Mapping[str, Any] = field(
        default_factory=dict
    )  # or settings of that run, which is trained first
    test: bool = True  # whether each model is tested, which significance needs
    question: str = ""
    paper: str = ""  # entry of data/paper that the results stand beside
    recipe: str = ""  # the command that made it, if that was a recipe

    def __post_init__(self):
        if not NAME.fullmatch(self.name):
            raise UserError(
                f"{self.name!r}: a sweep's name is made of letters, digits, dots, dashes and underscores"
            )
        if self.preset not in PRESETS:
            raise UserError(f"no such preset: {self.preset}; choose one of {', '.join(PRESETS)}")
        if not self.seeds:
            raise UserError(f"sweep {self.name}: no seeds")
        named = [*self.settings, *self.axes, *self.start, *(f for p in self.points for f in p)]
        unknown = sorted({f for f in named if f not in SETTINGS})
        if unknown:
            raise UserError(f"no such setting: {', '.join(unknown)}")
        if "seed" in named:
            raise UserError("seeds are an axis of their own: say seeds=0,1,2")
        object.__setattr__(
            self, "axes", {name: self._axis(name, given) for name, given in self.axes.items()}
        )
        set_twice = sorted({f for p in self.points for f in p} & set(self.axes))
        if set_twice:
            raise UserError(f"{', '.join(set_twice)}: both an axis and part of the points")

    def _axis(self, name: str, given: Any) -> Any:
        if isinstance(given, Mapping):
            if not self.draws:
                raise UserError(f"axis {name}: a range needs draws; for a grid, list the values")
            if sorted({*given} - {"log"}) != ["high", "low"]:
                raise UserError(f"axis {name}: a range is low, high and perhaps log")
            return {k: v if k == "log" else SETTINGS[name].parse(v) for k, v in given.items()}
        values = [given] if isinstance(given, str | int | float) else list(given)
        if not values:
            raise UserError(f"axis {name}: no values")
        return list(dict.fromkeys(SETTINGS[name].parse(v) for v in values))

    @property
    def folder(self) -> Path:
        return home() / "sweeps" / self.name

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings in which cells differ, seeds aside."""
        return tuple(dict.fromkeys([*self.axes, *(f for p in self.points for f in p)]))

    def cells(self) -> list[Cell]:
        """Every cell once, seeds innermost."""
        found: dict[str, Cell] = {}
        for values in self._drawn() if self.draws else self._crossed():
            for seed in self.seeds:
                cell = Cell(
                    values,
                    int(seed),
                    preset(self.preset, **{**self.settings, **values, "seed": int(seed)}),
                )
                found.setdefault(cell.id, cell)
        return list(found.values())

    def _crossed(self) -> Iterator[dict[str, Any]]:
        for point in self.points or ({},):
            for values in itertools.product(*self.axes.values()):
                yield {**point, **dict(zip(self.axes, values, strict=True))}

    def _drawn(self) -> Iterator[dict[str, Any]]:
        """Draw n is a function of (name, n), so more draws leave the first ones as they are."""
        for n in range(self.draws):
            stream = rng(0, "sweep", self.name, n)
            point = dict(self.points[stream.integers(len(self.points))]) if self.points else {}
            yield point | {name: _draw(stream, name, axis) for name, axis in self.axes.items()}

    def save(self) -> "Sweep":
        """Keep it; a sweep of this name may only grow: UserError if what its cells share has changed."""
        path = self.folder / "sweep.json"
        if path.exists():
            old = Sweep.load(self.folder)
            shared = ("corpus", "preset", "settings", "init", "start")
            changed = [k for k in shared if getattr(old, k) != getattr(self, k)]
            if changed:
                raise UserError(
                    f"sweep {self.name} exists with another {', '.join(changed)}; choose another name"
                )
            self = dataclasses.replace(
                self,
                axes=_union(old.axes, self.axes),
                seeds=list(dict.fromkeys([*old.seeds, *self.seeds])),
                points=[*old.points, *(p for p in self.points if p not in old.points)],
                draws=max(old.draws, self.draws),
                question=self.question or old.question,
                paper=self.paper or old.paper,
                recipe=self.recipe if self.to_dict() == old.to_dict() else "",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(path, self.to_dict())
        return self

    def to_dict(self) -> dict[str, Any]:
        return {
            k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()
        }

    @classmethod
    def load(cls, folder: Path) -> "Sweep":
        return cls.of(read_json(folder / "sweep.json"), folder / "sweep.json")

    @classmethod
    def of(cls, record: Mapping[str, Any], where: Path) -> "Sweep":
        """From its JSON; an unknown field is a UserError that names the file."""
        unknown = sorted(set(record) - {f.name for f in dataclasses.fields(cls)})
        if unknown:
            raise UserError(f"{where}: no such field of a sweep: {', '.join(unknown)}")
        return cls(**record)

    def as_python(self) -> str:
        """The lines of Python that make this sweep again."""
        default = {f.name: f.default for f in dataclasses.fields(self)}
        given = {
            k: v for k, v in self.to_dict().items() if v != default.get(k) and (v or k == "test")
        }
        inside = "".join(f"    {k}={v!r},\n" for k, v in given.items())
        return f"from workbench.sweeping import Sweep, run\n\nrun(Sweep(\n{inside}))\n"

    def command(self) -> str:
        """The command that makes this sweep again, for recipes and grids; others are run from their file."""
        if self.recipe:
            return self.recipe
        if self.draws or self.points or self.start:
            return f"workbench sweep --file {shlex.quote(f'{self.name}.json')}"
        words = ["workbench", "sweep", self.corpus, "--name", self.name, "--preset", self.preset]
        for name, values in self.axes.items():
            words += ["--axis", f"{name}={','.join(str(v) for v in values)}"]
        words += ["--seeds", ",".join(str(s) for s in self.seeds)]
        if self.settings:
            words += ["--set", *(f"{k}={v}" for k, v in self.settings.items())]
        return shlex.join(
            [
                *words,
                *(["--init", self.init] if self.init else []),
                *([] if self.test else ["--no-test"]),
            ]
        )


def _union(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Axes with the values of both, in the order in which they came."""
    if set(old) != set(new):
        raise UserError(
            f"this sweep has the axes {', '.join(old) or 'none'}, not {', '.join(new) or 'none'}; choose another name"
        )
    return {
        k: v if isinstance(v, Mapping) else list(dict.fromkeys([*old[k], *v]))
        for k, v in new.items()
    }


def _draw(stream, name: str, axis: Any) -> Any:
    if not isinstance(axis, Mapping):
        return axis[int(stream.integers(len(axis)))]
    low, high = axis["low"], axis["high"]
    value = (
        math.exp(stream.uniform(math.log(low), math.log(high)))
        if axis.get("log")
        else stream.uniform(low, high)
    )
    rounded = round(value) if SETTINGS[name].kind is int else float(f"{value:.4g}")
    return SETTINGS[name].parse(rounded)


def find_sweep(name: str) -> Sweep:
    """The saved sweep of this name."""
    folder = home() / "sweeps" / name
    if not NAME.fullmatch(name) or not (folder / "sweep.json").exists():
        known = ", ".join(s.name for s in all_sweeps()) or "none yet"
        raise UserError(f"{name}: no such sweep; sweeps: {known}")
    return Sweep.load(folder)


def all_sweeps() -> list[Sweep]:
    """Every saved sweep, by name."""
    return [Sweep.load(p.parent) for p in sorted((home() / "sweeps").glob("*/sweep.json"))]
