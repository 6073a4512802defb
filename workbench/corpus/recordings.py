"""Finding and opening the recordings that a corpus names; each file is opened once."""

from collections.abc import Sequence
from pathlib import Path

from workbench.corpus.audio import AudioError, Recording, read_header
from workbench.corpus.candidate import Problem
from workbench.corpus.commands import CommandFailed, run_command

COMMANDS = "from-commands"
"""The folder of a data directory for the output of commands."""


class Recordings:
    """Looks paths up under ``roots``, in their order, and keeps the headers.

    ``commands`` is the folder for the output of command pipes; None refuses them.
    """

    def __init__(self, roots: Sequence[Path], commands: Path | None = None):
        self._roots = tuple(roots)
        self._commands = commands
        self._opened: dict[str, Recording | Problem] = {}

    @classmethod
    def of(cls, folder: Path, audio_root: Path | None, allow_commands: bool) -> "Recordings":
        """Return those of a data directory: under the root, in the folder, or beside it."""
        roots = [folder, folder.resolve().parent]
        if audio_root:
            roots.insert(0, Path(audio_root))
        return cls(roots, folder / COMMANDS if allow_commands else None)

    def open(self, source: str, where: str) -> Recording | Problem:
        """Return the recording that ``where`` names, a path or "command |", or the problem."""
        if source not in self._opened:
            self._opened[source] = self._open(source, where)
        return self._opened[source]

    def _open(self, source: str, where: str) -> Recording | Problem:
        try:
            if not source.endswith("|"):
                path = self._find(source)
            else:
                command = source[:-1].strip()
                if self._commands is None:
                    detail = f"{command}: --allow-commands runs commands, with your rights"
                    return Problem("command refused", where, detail)
                path = run_command(command, self._commands)
            return Recording(path, read_header(path))
        except CommandFailed as error:
            return Problem("command failed", where, str(error))
        except AudioError as error:
            return Problem(error.reason, where, f"{error.path}: {error.detail}")

    def _find(self, source: str) -> Path:
        """Return the path under the first root that has the file, or else under the first root."""
        paths = [root / source for root in self._roots]
        return next((path for path in paths if _exists(path)), paths[0])


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # name too long, or with NUL; opening it reports that
        return False
