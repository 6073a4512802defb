"""How one setting is described: its default, unit, range, choices and one line of explanation."""

import dataclasses
import numbers
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args, get_origin

from workbench.settings.alternatives import (
    EXTENSIBLE,
    added_choices,
    extensions_hint,
    load_extensions,
)
from workbench.settings.errors import UserError, did_you_mean, no_such

Value = bool | int | float | str
T = TypeVar("T")

# Python reads more than this as numbers: digits of other scripts, 1_0, nan, infinity.
WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")
NUMBER = re.compile(r"[+-]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")
SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
LARGEST_WHOLE = 10**30  # beyond it nothing is a setting, and far beyond it is no float
LONGEST_TEXT = 1000  # characters
SHOWN = 60  # characters of a wrong value that a message repeats

_taking_added = ContextVar("_taking_added", default=False)


@contextmanager
def taking_added_choices() -> Iterator[None]:
    """Take any text for settings to which users can add choices, known here or not."""
    token = _taking_added.set(True)
    try:
        yield
    finally:
        _taking_added.reset(token)


@dataclass(frozen=True)
class Setting:
    """One setting: what it is called, what it may be, and what it means."""

    name: str  # on the command line and in files
    group: str
    attribute: str  # within its group
    kind: type
    named: tuple[str, ...]  # the values that the package knows; empty: any value of the kind
    default: Value
    doc: str
    unit: str
    low: float | None
    high: float | None

    @property
    def choices(self) -> tuple[str, ...]:
        """The values to choose from, those that users added included; empty: any value of the
        kind.
        """
        return self.named + added_choices(self.name) if self.named else ()

    def parse(self, value: object) -> Value:
        """Return ``value``, possibly text, as this setting's kind; raise UserError outside its
        range or choices.
        """
        if self.choices:
            return self._parse_choice(value)
        if self.kind is bool:
            return self._parse_switch(value)
        if self.kind is str:
            return self._parse_text(value)
        return self._parse_number(value)

    def _parse_choice(self, value: object) -> str:
        if value not in self.choices and self.name in EXTENSIBLE and _taking_added.get():
            return self._parse_text(value)
        if value not in self.choices:
            load_extensions()
        if value not in self.choices:
            raise UserError(
                f"{self.name}={shown(value)}: choose one of {', '.join(self.choices)}"
                f"{did_you_mean(str(value), self.choices)}"
                f"{extensions_hint(self.name)}"
            )
        return str(value)

    def _parse_switch(self, value: object) -> bool:
        word = str(value).lower()
        if word not in SWITCHES:
            raise UserError(f"{self.name}={shown(value)}: must be true or false")
        return SWITCHES[word]

    def _parse_text(self, value: object) -> str:
        if not isinstance(value, str) or not value.isprintable() or not value:
            raise UserError(f"{self.name}={shown(value)}: must be text that can be printed")
        if len(value) > LONGEST_TEXT:
            raise UserError(f"{self.name}: must be at most {LONGEST_TEXT} characters long")
        return value

    def _parse_number(self, value: object) -> int | float:
        number = parse_number(value, self.kind is int)
        if number is None:
            wanted = "a whole number" if self.kind is int else "a number"
            raise UserError(f"{self.name}={shown(value)}: must be {wanted}{self._allowed}")

        too_low = self.low is not None and not number >= self.low
        too_high = self.high is not None and not number <= self.high
        if too_low or too_high:
            raise UserError(f"{self.name}={shown(value)}: must be{self._allowed}")
        return number

    @property
    def _allowed(self) -> str:
        """The range in words, with a space before it; nothing if there is none."""
        unit = f" {self.unit}" if self.unit else ""
        if self.low is None:
            return "" if self.high is None else f" at most {bound_text(self.high)}{unit}"
        if self.high is None:
            return f" at least {bound_text(self.low)}{unit}"
        return f" between {bound_text(self.low)} and {bound_text(self.high)}{unit}"


def bound_text(bound: float) -> str:
    """Return a bound of a range as people write it: ``1000000``, ``0.001``."""
    return f"{int(bound)}" if float(bound).is_integer() else f"{bound:g}"


def shown(value: object) -> str:
    """Return a wrong value for a message of one line, cut if it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def parse_number(value: object, whole: bool) -> int | float | None:
    """Return the number that ``value`` is or, as text, writes; None if it is none.

    Text has the digits 0 to 9. A number of numpy or pandas is taken as it is.
    """
    if isinstance(value, str):
        text = value.strip(" ")
        if whole:
            return int(text) if WHOLE_NUMBER.fullmatch(text) else None
        return float(text) if NUMBER.fullmatch(text) else None

    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    if isinstance(value, numbers.Integral):
        small = abs(int(value)) < LARGEST_WHOLE
        return (int(value) if whole else float(value)) if small else None
    number = float(value)
    if not whole:
        return number
    return int(number) if number.is_integer() else None


def setting(
    default: T,
    doc: str,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    name: str = "",
    group: str = "",
) -> T:
    """A dataclass field that carries what a person needs to know about it.

    ``name`` is its flat name where that is not the name of the field; ``group`` a heading for
    forms.
    """
    about = {"doc": doc, "unit": unit, "low": low, "high": high, "name": name, "group": group}
    return field(default=default, metadata=about)


def settings_of(kind: type, group: str = "") -> dict[str, Setting]:
    """The settings that the fields of dataclass ``kind`` describe, by flat name."""
    found = {}
    for f in dataclasses.fields(kind):
        about = f.metadata
        choices = get_args(f.type) if get_origin(f.type) is Literal else ()
        name = about["name"] or f.name
        found[name] = Setting(
            name=name,
            group=group or about["group"],
            attribute=f.name,
            kind=str if choices else f.type,  # type: ignore[arg-type]
            named=choices,
            default=f.default,  # type: ignore[arg-type]
            doc=about["doc"],
            unit=about["unit"],
            low=about["low"],
            high=about["high"],
        )
    return found


def parse_fields(kind: type[T], values: Mapping[str, object]) -> T:
    """Make a dataclass of settings from values, possibly text, by flat name.

    Raises UserError for an unknown name or a value outside its range.
    """
    known = settings_of(kind)
    parsed = {}
    for name, value in values.items():
        if name not in known:
            raise no_such("setting", name, known)
        parsed[known[name].attribute] = known[name].parse(value)

    make: Callable[..., T] = kind
    return make(**parsed)


class Group:
    """A group of settings, each checked against its range when the group is made."""

    def __post_init__(self) -> None:
        for described in settings_of(type(self)).values():
            value = described.parse(getattr(self, described.attribute))
            object.__setattr__(self, described.attribute, value)
