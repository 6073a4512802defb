"""Dataclasses that are made by the thousand: messages, effects and rows.

``dataclass(frozen=True)`` sets every field through a function that then has to get round the
freeze, and making one takes two to five times as long. A run makes several for each effect, so a
virtual clock spent a tenth of its time on this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def unchanging(
    *, eq: bool = True, kw_only: bool = False, slots: bool = True
) -> Callable[[type[T]], type[T]]:
    """Return a decorator that makes a class a dataclass whose objects never change.

    Type checkers hold it frozen. At run time nothing stops an assignment. The options are those of
    ``dataclass``; objects that are compared by their values also have the hash of their values.
    """
    return dataclass(eq=eq, unsafe_hash=eq, kw_only=kw_only, slots=slots)
