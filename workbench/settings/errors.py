"""Errors that a user can mend, and hints about misspelt names."""

import difflib
from collections.abc import Iterable, Sequence

LISTED = 12  # names that a message about a wrong one lists; of more it says how to list them
SUGGESTED = 3  # names that are near a wrong one
SHOWN = 100  # characters of a wrong name that a message repeats

LISTING_COMMANDS = {
    "run": "workbench runs",
    "run or sweep": "workbench runs",
    "sweep": "workbench info",
    "corpus": "workbench info",
    "setting": "workbench train --help",
    "column": "workbench runs --help",
    "study": "workbench study list",
}
"""The command that lists all names of a kind, where there can be many."""


class UserError(Exception):
    """Something a user can mend; its message is one line that names file, line or setting."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the line, without the way through our code."""
        return [f"{type(self).__name__}: {self}"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the known name most like ``name``, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names that are most like ``name``, the nearest first.

    A name is also like one that contains it, and like the part before the digest of a run's name.
    """
    names = list(known)
    if not name:
        return []

    begins = {known_name.rpartition("-")[0]: known_name for known_name in names}
    alike = difflib.get_close_matches(name, names, SUGGESTED)
    alike += [begins[word] for word in difflib.get_close_matches(name, begins, SUGGESTED) if word]
    alike += [known_name for known_name in names if name.lower() in known_name.lower()]
    return list(dict.fromkeys(alike))[:SUGGESTED]


def no_such(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error about a ``name`` that no ``kind`` has.

    It suggests the names that are near. It lists all of a few, and of many says how to list them.
    """
    names = sorted(known)
    near = near_names(name, names)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    wanted = name if name.isprintable() and name else repr(name)
    if len(wanted) > SHOWN:
        wanted = f"{wanted[:SHOWN]}..."
    return UserError(f"{wanted}: no such {kind}{hint}; {_known_names(kind, names)}")


def _known_names(kind: str, names: Sequence[str]) -> str:
    """The names, or of many how many there are and what lists them."""
    if not names:
        return "known: none yet"
    if len(names) <= LISTED:
        return f"known: {', '.join(names)}"
    command = LISTING_COMMANDS.get(kind)
    if command is None:
        return f"known: {', '.join(names[:LISTED])} and {len(names) - LISTED} more"
    return f"{len(names)} are known, which `{command}` lists"
