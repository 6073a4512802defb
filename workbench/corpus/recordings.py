"""Finding and opening the recordings that a corpus names; each file is opened once."""

from collections.abc import Sequence
from pathlib import Path

from workbench.corpus.audio import AudioError, Header, probe
from workbench.corpus.candidate import Problem
from workbench.corpus.commands import CommandFailed, run_command


class Recordings:
    """Looks paths up under ``roots`` in their order, and keeps the headers.

    ``commands``: folder for what command pipes write; None: they are refused.
    """

    def __init__(self, roots: Sequence[Path], commands: Path | None = None):
        self._roots, self._commands = tuple(roots), commands
        self._found: dict[str, tuple[Path, Header] | Problem] = {}

    def open(self, source: str, where: str) -> tuple[Path, Header] | Problem:
        """Path and header of a recording that ``where`` calls ``source`` (a path, or "command |"), or what is wrong."""
        if source not in self._found:
            self._found[source] = self._open(source, where)
        return self._found[source]

    def _open(self, source: str, where: str) -> tuple[Path, Header] | Problem:
        is_command, command = source.endswith("|"), source[:-1].strip()
        if is_command and self._commands is None:
            return Problem(
                "command refused",
                where,
                f"{command}: commands in wav.scp must be allowed explicitly",
            )
        try:
            path = (
                run_command(command, self._commands)
                if is_command and self._commands
                else self._find(source)
            )
            return path, probe(path)
        except CommandFailed as error:
            return Problem("command failed", where, str(error))
        except AudioError as error:
            return Problem(error.reason, where, f"{error.path}: {error.detail}")

    def _find(self, source: str) -> Path:
        """The first root under which the file is; where it is under none, the first, for the message."""
        candidates = [root / source for root in self._roots]
        return next((path for path in candidates if _exists(path)), candidates[0])


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # name too long, NUL; opening it says so
        return False
