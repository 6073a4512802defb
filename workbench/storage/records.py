"""Dataclasses from JSON that anybody may have written: every type is checked, and nothing guessed.

What is wrong is a UserError that names the file and the place in it.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TypeVar

from workbench.settings import UserError, did_you_mean
from workbench.storage.files import Json, read_json

T = TypeVar("T")
SHOWN = 40  # characters of a wrong value that a message repeats

WORDS: dict[object, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    type(None): "null",
}
"""How messages call the plain types."""


class _Wrong(Exception):
    """What is wrong with a value, and where it is."""


def read_record(kind: type[T], path: Path) -> T:
    """Return the dataclass ``kind`` that the JSON in ``path`` describes."""
    return record_of(kind, read_json(path), path)


def record_of(kind: type[T], value: object, path: Path) -> T:
    """Return the dataclass ``kind`` with the fields of ``value``, which was read from ``path``."""
    try:
        return typing.cast(T, _convert(kind, value, ""))
    except _Wrong as wrong:
        raise UserError(f"{path}: {wrong}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def read_object(path: Path) -> dict[str, Json]:
    """Return the JSON object in ``path``, its values as they are."""
    return object_of(read_json(path), path)


def object_of(value: object, path: Path) -> dict[str, Json]:
    """Return ``value`` if it is a JSON object; UserError that names ``path`` if not."""
    if not isinstance(value, dict):
        raise UserError(f"{path}: must be an object {{...}}, not {shown_json(value)}")
    return value


def shown_json(value: object) -> str:
    """Return the beginning of a value for a message."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _convert(kind: object, value: object, place: str) -> object:
    if kind in (object, typing.Any) or isinstance(kind, str | typing.ForwardRef):
        return value  # any JSON; the type of all JSON refers to itself
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_record(kind, value, place)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _convert_member(kind, value, place)

    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(kind), value, place)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _convert_mapping(typing.get_args(kind)[1], value, place)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _convert_list(typing.get_args(kind)[0], value, place)
    return _convert_scalar(kind, value, place)


def _convert_record(kind: type, value: object, place: str) -> object:
    given = _convert_mapping(object, value, place)
    known = {f.name: f for f in dataclasses.fields(kind)}
    for name in given:
        if name not in known:
            raise _Wrong(f"no such field: {_inside(place, name)}{did_you_mean(name, known)}")
    for name, f in known.items():
        has_default = (f.default, f.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
        if name not in given and not has_default:
            raise _Wrong(f"{_inside(place, name)} is missing")

    hints = typing.get_type_hints(kind)
    return kind(
        **{name: _convert(hints[name], v, _inside(place, name)) for name, v in given.items()}
    )


def _convert_member(kind: type[Enum], value: object, place: str) -> Enum:
    for member in kind:
        if member.value == value:
            return member
    raise _wrong(place, "one of " + ", ".join(str(member.value) for member in kind), value)


def _convert_union(kinds: Sequence[object], value: object, place: str) -> object:
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    for kind in others[:-1]:
        try:
            return _convert(kind, value, place)
        except _Wrong:
            continue  # another kind of the union may suit; the last one names the fault
    return _convert(others[-1], value, place)


def _convert_mapping(kind: object, value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _wrong(place, "an object {...}", value)
    for key in value:
        if not isinstance(key, str):
            raise _wrong(place, "an object whose keys are text", value)
    return {name: _convert(kind, v, _inside(place, name)) for name, v in value.items()}


def _convert_list(kind: object, value: object, place: str) -> list[object]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _wrong(place, "a list [...]", value)
    return [_convert(kind, v, f"{place}[{i}]") for i, v in enumerate(value)]


def _convert_scalar(kind: object, value: object, place: str) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number and math.isfinite(float(typing.cast(float, value))):
        return value
    if kind is int and is_number and isinstance(value, int):
        return value
    if kind in (str, bool, type(None)) and type(value) is kind:
        return value
    raise _wrong(place, WORDS[kind], value)


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _wrong(place: str, wanted: str, value: object) -> _Wrong:
    where = f"{place} " if place else ""
    return _Wrong(f"{where}must be {wanted}, not {shown_json(value)}")
