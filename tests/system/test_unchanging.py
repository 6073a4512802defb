"""Objects that never change: what they have in common with frozen dataclasses."""

from copy import deepcopy
from dataclasses import dataclass, replace

import pytest
from mypy import api

from workbench.system.unchanging import unchanging


@unchanging()
class Place:
    """A place of a map."""

    x: int
    y: int = 0


@unchanging(eq=False)
class Thing:
    """An object that is equal to itself only."""

    name: str


def test_values_are_compared_and_hashed():
    """Equal values are equal objects with equal hashes; without ``eq`` an object is only itself."""
    assert Place(1) == Place(1, 0) != Place(1, 2)
    assert len({Place(1), Place(1, 0), Place(1, 2)}) == 2
    assert len({Thing("a"), Thing("a")}) == 2


def test_objects_are_copied():
    """They are replaced and copied as other dataclasses are, and have no further attributes."""
    assert replace(Place(1), y=5) == Place(1, 5)
    assert deepcopy(Place(1, 2)) == Place(1, 2)
    with pytest.raises(AttributeError):
        Place(1).z = 3


def test_nothing_frozen_may_come_from_them():
    """A subclass that is frozen at run time is refused, so rows of one kind are not made twice."""
    with pytest.raises(TypeError, match="frozen"):

        @dataclass(frozen=True)
        class Spot(Place):
            pass


@pytest.mark.slow
def test_type_checkers_hold_them_frozen(tmp_path):
    """An assignment to a field is an error of mypy, as is a value of another type; use is none."""
    program = tmp_path / "program.py"
    program.write_text(
        "from workbench.system.unchanging import unchanging\n\n\n"
        "@unchanging()\n"
        "class Place:\n"
        "    x: int\n\n\n"
        "place = Place(1)\n"
        "place.x + 3\n"
        "place.x = 3\n"
        "Place('one')\n"
    )
    found, _, status = api.run([str(program), "--cache-dir", str(tmp_path / "cache")])
    assigned, valued = [line for line in found.splitlines() if ": error:" in line]
    assert status == 1
    assert "program.py:11:" in assigned and "read-only" in assigned
    assert "program.py:12:" in valued and "incompatible type" in valued
