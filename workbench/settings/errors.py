"""What a user can mend."""

from collections.abc import Iterable


class UserError(Exception):
    """Something a user can mend; its message is one line that names file, line or setting."""


def no_such(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Return the error about a ``name`` that no ``kind`` has; it lists the known names."""
    names = ", ".join(sorted(known)) or "none yet"
    return UserError(f"{name}: no such {kind}; known: {names}")
