"""Messages as JSON beside their arrays. Nothing is pickled: a type is named, and it must be a known dataclass.

Known are dataclasses, enumerations and exceptions of the package, and of modules that the reader has imported anyway.
"""

import dataclasses
import importlib
import sys
from enum import Enum
from functools import cache
from typing import Any

import numpy as np

PLAIN = (bool, int, float, str, type(None))


def written(x: Any, arrays: dict[int, np.ndarray]) -> Any:
    """``x`` as JSON; its arrays are added to ``arrays`` by identity, each once. TypeError for what cannot travel."""
    if type(x) in PLAIN:
        return x
    if isinstance(x, np.ndarray):
        arrays.setdefault(id(x), x)
        return {"array": list(arrays).index(id(x))}
    if isinstance(x, list):
        return [written(y, arrays) for y in x]
    if isinstance(x, tuple):
        return {"tuple": [written(y, arrays) for y in x]}
    if isinstance(x, dict):
        return {"dict": [[written(k, arrays), written(v, arrays)] for k, v in x.items()]}
    if isinstance(x, np.generic):
        return {"number": x.item(), "dtype": x.dtype.str}
    if isinstance(x, Enum):
        return {"member": x.name, "type": name_of(type(x))}
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        return {
            "fields": [written(getattr(x, name), arrays) for name in _field_names(type(x))],
            "type": name_of(type(x)),
        }
    if isinstance(x, BaseException):
        notes = getattr(x, "__notes__", [])
        return {
            "error": [a if type(a) in PLAIN else str(a) for a in x.args],
            "notes": notes,
            "type": name_of(type(x)),
        }
    raise TypeError(f"cannot be sent to another process: {type(x).__name__}")


def read(x: Any, arrays: list[np.ndarray]) -> Any:
    """What ``written`` was given."""
    if isinstance(x, list):
        return [read(y, arrays) for y in x]
    if not isinstance(x, dict):
        return x
    match x:
        case {"array": index}:
            return arrays[index]
        case {"tuple": values}:
            return tuple(read(y, arrays) for y in values)
        case {"dict": pairs}:
            return {read(k, arrays): read(v, arrays) for k, v in pairs}
        case {"number": number, "dtype": dtype}:
            return np.dtype(dtype).type(number)
        case {"member": name, "type": kind}:
            return known(kind)[name]  # type: ignore[index]
        case {"fields": values, "type": kind}:
            return known(kind)(*(read(y, arrays) for y in values))
        case {"error": args, "notes": notes, "type": kind}:
            return _error(known(kind), args, notes)
    raise TypeError(f"not a message: {list(x)}")


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def name_of(kind: type) -> str:
    """What ``known`` knows it by."""
    return f"{kind.__module__}:{kind.__qualname__}"


@cache
def known(name: str) -> type:
    """The type that is named; TypeError if it is not one that may travel, or not to be had here."""
    module, _, path = name.partition(":")
    if module.split(".")[0] == __name__.split(".")[0]:
        importlib.import_module(module)
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    travels = isinstance(found, type) and (
        dataclasses.is_dataclass(found) or issubclass(found, Enum | BaseException)
    )
    if not travels:
        raise TypeError(f"{name} is not known in this process")
    return found


def _error(kind: type, args: list, notes: list[str]) -> BaseException:
    error = kind.__new__(kind, *args)  # without __init__, whose arguments may be others
    for note in notes:
        error.add_note(note)
    return error
