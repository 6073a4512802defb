"""Which runs are listed, and in which order."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from workbench.archive.entry import FACTS, NUMBERS, RunEntry
from workbench.settings import SETTINGS, UserError, Value, no_such

CONDITION = re.compile(r"(?P<column>\w+)(?P<sign>!=|<=|>=|=|<|>|~)(?P<wanted>.*)", re.DOTALL)
SIGNS = "=, !=, <, <=, >, >= or ~ (contains)"
ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def check_column(column: str) -> str:
    """Return ``column``; UserError that suggests the nearest one if there is no such column."""
    known = (*FACTS, *NUMBERS, *SETTINGS)
    if column not in known:
        raise no_such("column", column, known)
    return column


@dataclass(frozen=True)
class Condition:
    """What a listed run has to meet: ``column`` stands in the relation ``sign`` to ``wanted``."""

    column: str
    sign: str
    wanted: str

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """Return the condition of a text like ``test_wer<0.3``; UserError if it is none."""
        found = CONDITION.fullmatch(text)
        if not found:
            raise UserError(f"--where {text}: write COLUMN, then {SIGNS}, then a value")

        condition = cls(check_column(found["column"]), found["sign"], found["wanted"])
        if condition.sign in ORDERS and not _is_number(condition.wanted):
            raise UserError(f"--where {text}: {condition.sign} compares with a number")
        return condition

    def holds(self, entry: RunEntry) -> bool:
        """Return whether the run meets the condition; one without a value meets no order."""
        value = entry.value(self.column)
        if self.sign == "~":
            return self.wanted.lower() in str(value or "").lower()
        if self.sign in ORDERS:
            number = value if isinstance(value, int | float) else None
            return number is not None and ORDERS[self.sign](number, float(self.wanted))

        equal = self._equals(entry, value)
        return equal if self.sign == "=" else not equal

    def _equals(self, entry: RunEntry, value: Value | None) -> bool:
        """Return whether a value is the one wanted: as text, as number, or as one of the tags."""
        if self.column == "tags":
            return self.wanted in entry.notes.tags
        if isinstance(value, bool):
            return str(value).lower() == self.wanted.lower()
        if isinstance(value, int | float) and _is_number(self.wanted):
            return value == float(self.wanted)
        return str("" if value is None else value) == self.wanted


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def select(entries: Sequence[RunEntry], conditions: Sequence[Condition]) -> list[RunEntry]:
    """Return the entries that meet all conditions."""
    return [entry for entry in entries if all(condition.holds(entry) for condition in conditions)]


def sort_entries(
    entries: Sequence[RunEntry], column: str, descending: bool = False
) -> list[RunEntry]:
    """Return the entries by a column; those without a value come last in either direction."""
    check_column(column)
    valued = [entry for entry in entries if entry.value(column) not in (None, "")]
    others = [entry for entry in entries if entry.value(column) in (None, "")]

    def key(entry: RunEntry) -> tuple[bool, float, str]:
        value = entry.value(column)
        if isinstance(value, int | float):
            return False, float(value), ""
        return True, 0.0, str(value)

    return sorted(valued, key=key, reverse=descending) + others
