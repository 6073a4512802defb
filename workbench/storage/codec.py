"""Values as JSON beside their arrays, and back, for checkpoints and messages between processes.

Values are dataclasses, enumerations, arrays, tuples, lists, dicts, scalars and exceptions. A vector
on a device is encoded as an array. Nothing is pickled: a type is named in the JSON, and a decoder
makes only types that its `TypeNames` know. In the JSON,

    [..]                                   is a list
    {"tuple": [..]}                        a tuple
    {"dict": [[key, value], ..]}           a dict
    {"array": 3}                           the array number 3 beside the JSON
    {"number": 1.5, "dtype": "<f4"}        a scalar of numpy
    {"type": .., "fields": {name: ..}}     a dataclass
    {"type": .., "member": name}           a member of an enumeration
    {"type": .., "error": [..], "notes": [..]}    an exception with its arguments
"""

import dataclasses
import importlib
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np

from workbench.settings import UserError
from workbench.system.vectors import DeviceVector, Vector, as_array

SCALARS = frozenset({bool, int, float, str, type(None)})
PACKAGE = __name__.partition(".")[0]


class TypeNames(Protocol):
    """The names of the types that may be encoded and decoded."""

    def name_of(self, kind: type) -> str:
        """Return the name of a type; TypeError if it may not be encoded."""

    def find(self, name: str) -> type:
        """Return the type of this name; an error if it may not be decoded."""


class ListedTypes:
    """Types from a list, by the name of the class; for files, where the list is known beforehand.

    ``former``: names that types had in older files.
    """

    def __init__(self, types: Sequence[type], former: Mapping[str, type] | None = None):
        self._types = {kind.__name__: kind for kind in types} | dict(former or {})

    def name_of(self, kind: type) -> str:
        """Return the name of a type; TypeError if it is not listed."""
        if self._types.get(kind.__name__) is not kind:
            raise TypeError(f"not to be saved: {kind.__name__}")
        return kind.__name__

    def find(self, name: str) -> type:
        """Return the type of this name; UserError if it is not listed."""
        if name not in self._types:
            raise UserError(f"unknown type {name!r}")
        return self._types[name]


class ImportedTypes:
    """Data types of the package and of imported modules; for messages between processes."""

    def name_of(self, kind: type) -> str:
        """Return the module and the name of a type."""
        return _name_of_imported(kind)

    def find(self, name: str) -> type:
        """Return the type of this name; TypeError if it is no data type, or not known here."""
        return _find_imported(name)


@cache
def _name_of_imported(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


@cache
def _find_imported(name: str) -> type:
    module, _, path = name.partition(":")
    if module.partition(".")[0] == PACKAGE:
        with suppress(ModuleNotFoundError):
            importlib.import_module(module)
    found: object = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type) and (
        dataclasses.is_dataclass(found) or issubclass(found, Enum | BaseException)
    ):
        return found
    raise TypeError(f"{name} is not known in this process")


class Encoded(NamedTuple):
    """A value as JSON, and the arrays that belong to it, each once."""

    json: object
    arrays: list[np.ndarray]


def encode(value: object, types: TypeNames) -> Encoded:
    """Return ``value`` as JSON beside its arrays; TypeError for what cannot be encoded."""
    encoder = _Encoder(types)
    json = encoder.encode(value)
    return Encoded(json, encoder.arrays)


class _Encoder:
    def __init__(self, types: TypeNames):
        self.arrays: list[np.ndarray] = []
        self._types = types
        self._numbers: dict[int, int] = {}  # of arrays, by their identity

    def encode(self, value: object) -> object:
        if type(value) in SCALARS:
            return value
        if isinstance(value, np.ndarray | DeviceVector):
            return {"array": self._array_number(value)}
        if isinstance(value, list):
            return [self.encode(item) for item in value]
        if isinstance(value, tuple):
            return {"tuple": [self.encode(item) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[self.encode(k), self.encode(v)] for k, v in value.items()]}
        if isinstance(value, np.generic):
            return {"number": value.item(), "dtype": value.dtype.str}
        return self._encode_object(value)

    def _encode_object(self, value: object) -> object:
        kind: type = type(value)
        names = _field_names(kind)
        if names is not None:
            fields = {name: self.encode(getattr(value, name)) for name in names}
            return {"type": self._types.name_of(kind), "fields": fields}
        if isinstance(value, Enum):
            return {"type": self._types.name_of(kind), "member": value.name}
        if isinstance(value, BaseException):
            arguments = [a if type(a) in SCALARS else str(a) for a in value.args]
            notes = getattr(value, "__notes__", [])
            return {"type": self._types.name_of(kind), "error": arguments, "notes": notes}
        raise TypeError(f"cannot be encoded: {kind.__name__}")

    def _array_number(self, array: Vector) -> int:
        number = self._numbers.get(id(array))
        if number is None:
            number = self._numbers[id(array)] = len(self.arrays)
            self.arrays.append(as_array(array))
        return number


@cache
def _field_names(kind: type) -> tuple[str, ...] | None:
    """Return the fields of a dataclass; None if ``kind`` is none."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def decode(json: object, arrays: Sequence[np.ndarray], types: TypeNames) -> object:
    """Return the value that was encoded as ``json`` and ``arrays``.

    Raises TypeError for JSON that is not of an encoded value, and what ``types`` raise for an
    unknown type.
    """
    return _Decoder(arrays, types).decode(json)


class _Decoder:
    def __init__(self, arrays: Sequence[np.ndarray], types: TypeNames):
        self._arrays = arrays
        self._types = types

    def decode(self, json: object) -> object:
        if isinstance(json, list):
            return [self.decode(item) for item in json]
        if not isinstance(json, dict):
            return json
        if "type" in json:
            return self._decode_object(self._types.find(json["type"]), json)
        if "tuple" in json:
            return tuple([self.decode(item) for item in json["tuple"]])
        if "array" in json:
            return self._array(json["array"])
        if "dict" in json:
            return {self.decode(key): self.decode(value) for key, value in json["dict"]}
        if "number" in json:
            return np.dtype(json["dtype"]).type(json["number"])
        raise TypeError(f"not an encoded value: {list(json)}")

    def _array(self, number: object) -> np.ndarray:
        if not isinstance(number, int) or not 0 <= number < len(self._arrays):
            raise TypeError(f"there is no array {number!r}")
        return self._arrays[number]

    def _decode_object(self, kind: type, json: dict) -> object:
        if "fields" in json:
            return kind(**{name: self.decode(value) for name, value in json["fields"].items()})
        if "member" in json and issubclass(kind, Enum):
            return kind[json["member"]]
        if "error" in json and issubclass(kind, BaseException):
            error = kind.__new__(kind, *json["error"])  # not __init__, which may take others
            for note in json["notes"]:
                error.add_note(note)
            return error
        raise TypeError(f"not an encoded value: {list(json)}")
