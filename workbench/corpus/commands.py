"""Command pipes of wav.scp, "command |": run only where the user allows it, as they may do anything."""

import hashlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from workbench.settings import UserError

SECONDS = 600.0  # one recording should not take longer


class CommandFailed(Exception):
    """A command that gave no audio; the message says what it said."""


def run_command(command: str, folder: Path) -> Path:
    """Runs ``command`` in a shell and keeps what it writes in ``folder``, under a digest of the command.

    What is there already is not made again. CommandFailed if it exits with an error, writes nothing, or takes too long;
    UserError if nothing can be written to ``folder``.
    """
    path = folder / f"{hashlib.sha256(command.encode()).hexdigest()[:20]}.audio"
    if path.exists():
        return path
    part = path.with_name(path.name + ".tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as out:
            _run(command, out)
        if not part.stat().st_size:
            raise CommandFailed(f"{command}: no output")
        os.replace(part, path)
    except OSError as error:
        raise UserError(
            f"{folder}: what commands of wav.scp write cannot be kept there: {error.strerror}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return path


def _run(command: str, out) -> None:
    """Its errors go to a file, as a pipe would be held open by what the command leaves behind when it is killed."""
    with tempfile.TemporaryFile() as said:
        # An entry of wav.scp is by definition text for a shell; that is why it needs the user's leave.
        shell = ["/bin/sh", "-c", command]
        process = subprocess.Popen(
            shell, stdin=subprocess.DEVNULL, stdout=out, stderr=said, start_new_session=True
        )
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{command}: more than {SECONDS:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said.seek(0)
        if code:
            last = said.read(65536).decode(errors="replace").strip().splitlines()[-1:]
            raise CommandFailed(
                f"{command}: exit code {code}" + "".join(f": {line}" for line in last)
            )
