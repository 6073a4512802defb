"""Values are encoded as JSON beside arrays and decoded again; JSON makes nothing but values."""

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.settings import UserError
from workbench.storage.codec import ImportedTypes, ListedTypes, decode, encode

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=3)
        | st.tuples(values, values)
        | st.dictionaries(st.text(max_size=3) | st.integers(), values, max_size=3)
    ),
)


@dataclass(frozen=True, eq=False)
class Measured:
    """A dataclass with an array."""

    array: np.ndarray
    versions: tuple[int, ...]


class Colour(Enum):
    """An enumeration."""

    RED = "r"


class Problem(RuntimeError):
    """An exception whose arguments are not those of its __init__."""

    def __init__(self, text: str, more: int):
        super().__init__(f"{text} {more}")


LISTED = ListedTypes([Measured, Colour], {"Former": Measured})
IMPORTED = ImportedTypes()


def through_json(value: Any, types: Any) -> Any:
    """The value after it was encoded, written as text, read and decoded."""
    encoded = encode(value, types)
    return decode(json.loads(json.dumps(encoded.json)), encoded.arrays, types)


@given(VALUES)
def test_plain_values_keep_value_and_type(value):
    """Scalars, lists, tuples and dicts come back equal and of the same type."""
    assert repr(through_json(value, LISTED)) == repr(value)


@pytest.mark.parametrize("types", [LISTED, IMPORTED], ids=["listed", "imported"])
def test_objects_come_back(types):
    """Dataclasses, enumerations and numpy's scalars come back; an array is encoded once."""
    x = np.arange(3)
    sent = [Measured(x, (1, 2)), Colour.RED, np.float32(0.1), x]
    assert len(encode(sent, types).arrays) == 1
    measured, colour, number, array = through_json(sent, types)
    assert measured.array is array is x
    assert measured.versions == (1, 2)
    assert colour is Colour.RED
    assert type(number) is np.float32
    assert number == sent[2]


def test_exceptions_come_back_with_arguments_and_notes():
    """An exception is made without its __init__, and keeps its notes."""
    problem = Problem("disk", 3)
    problem.add_note("while saving")
    found = through_json(problem, IMPORTED)
    assert type(found) is Problem
    assert str(found) == "disk 3"
    assert found.__notes__ == ["while saving"]


def test_other_objects_are_refused():
    """Encoding an object that is no data, or of a type that is not listed, is a TypeError."""
    with pytest.raises(TypeError, match="cannot be encoded: PosixPath"):
        encode([Path()], IMPORTED)
    with pytest.raises(TypeError, match="not to be saved: Problem"):
        encode(Problem("x", 1), LISTED)


def test_only_known_types_are_made():
    """JSON cannot name a class that is no data type, or that is not listed."""
    with pytest.raises(TypeError, match="is not known"):
        decode({"fields": {}, "type": "subprocess:Popen"}, [], IMPORTED)
    with pytest.raises(UserError, match="unknown type 'Problem'"):
        decode({"error": [], "notes": [], "type": "Problem"}, [], LISTED)
    with pytest.raises(TypeError, match="not an encoded value"):
        decode({"strange": 1}, [], LISTED)


def test_a_type_is_found_by_its_former_name():
    """A value that was encoded before its type was renamed is decoded as the type of now."""
    encoded = {"type": "Former", "fields": {"array": {"array": 0}, "versions": {"tuple": [1]}}}
    found = decode(encoded, [np.arange(2)], LISTED)
    assert type(found) is Measured
    assert found.versions == (1,)
