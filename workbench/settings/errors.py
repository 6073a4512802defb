"""Errors that a user can mend, and hints about misspelt names."""

import difflib
from collections.abc import Iterable

LISTED = 30  # names that a message about a wrong one lists
SHOWN = 100  # characters of a wrong name that a message repeats


class UserError(Exception):
    """Something a user can mend; its message is one line that names file, line or setting."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows: the line, without the way through our code."""
        return [f"{type(self).__name__}: {self}"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` for the known name most like ``name``, or an empty string."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def no_such(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error about a ``name`` that no ``kind`` has; it lists the known names."""
    names = sorted(known)
    listed = ", ".join(names[:LISTED]) or "none yet"
    if len(names) > LISTED:
        listed += f" and {len(names) - LISTED} more"
    wanted = name if name.isprintable() and name else repr(name)
    if len(wanted) > SHOWN:
        wanted = f"{wanted[:SHOWN]}..."
    return UserError(f"{wanted}: no such {kind}{did_you_mean(name, names)}; known: {listed}")
