"""How one setting is described: its default, unit, range, choices and one line of explanation."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, SupportsFloat, TypeVar, get_args, get_origin

from workbench.settings.alternatives import added_choices, load_extensions
from workbench.settings.errors import UserError, no_such

Value = bool | int | float | str
T = TypeVar("T")


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
            return str(value)
        return self._parse_number(value)

    def _parse_choice(self, value: object) -> str:
        if value not in self.choices:
            load_extensions()
        if value not in self.choices:
            raise UserError(f"{self.name}={value!r}: choose one of {', '.join(self.choices)}")
        return str(value)

    def _parse_switch(self, value: object) -> bool:
        if not isinstance(value, str):
            return bool(value)
        if value.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise UserError(f"{self.name}={value!r}: true or false")
        return value.lower() in ("true", "1", "yes")

    def _parse_number(self, value: object) -> int | float:
        if not isinstance(value, str | SupportsFloat):
            raise UserError(f"{self.name}={value!r}: not a {self.kind.__name__}")
        try:
            number: int | float = self.kind(value)
        except (TypeError, ValueError, OverflowError):
            raise UserError(f"{self.name}={value!r}: not a {self.kind.__name__}") from None
        if self.kind is int and float(value) != number:
            raise UserError(f"{self.name}={value!r}: a whole number")
        too_low = self.low is not None and not number >= self.low
        too_high = self.high is not None and not number <= self.high
        if too_low or too_high:
            raise UserError(
                f"{self.name}={value}: between {self.low} and {self.high} {self.unit}".rstrip()
            )
        return number


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
