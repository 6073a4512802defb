"""Command pipes of wav.scp, "command |": run only if allowed, as they may do anything."""

import hashlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import BinaryIO

from workbench.settings import UserError

TIME_LIMIT = 600.0  # seconds; one recording should not take longer
LAST_WORDS = 1 << 16  # bytes of a command's error output that are read for its last line


class CommandFailed(Exception):
    """A command that wrote no audio; the message has the last line of its error output."""


def run_command(command: str, folder: Path) -> Path:
    """Run ``command`` in a shell, and return the file in ``folder`` with its output.

    The file is named by a digest of the command; if it exists, the command is not run again. Raise
    CommandFailed if the command exits with an error, writes nothing or takes too long, and
    UserError if ``folder`` cannot be written to.
    """
    path = folder / f"{hashlib.sha256(command.encode()).hexdigest()[:20]}.audio"
    if path.exists():
        return path

    part = path.with_name(path.name + ".tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as output:
            _run(command, output)
        if not part.stat().st_size:
            raise CommandFailed(f"{command}: no output")
        os.replace(part, path)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot keep the output of commands of wav.scp: {error.strerror}"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return path


def _run(command: str, output: BinaryIO) -> None:
    """Run ``command`` with its standard output in ``output``; raise CommandFailed if it fails.

    Its error output goes to a file: a pipe would stay open in processes that it leaves behind.
    """
    # An entry of wav.scp is by definition text for a shell; that is why the user must allow it.
    shell = ["/bin/sh", "-c", command]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            shell,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            code = process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            raise CommandFailed(f"{command}: more than {TIME_LIMIT:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

        if code:
            errors.seek(0)
            lines = errors.read(LAST_WORDS).decode(errors="replace").strip().splitlines()
            reason = f": {lines[-1]}" if lines else ""
            raise CommandFailed(f"{command}: exit code {code}{reason}")
