"""Exit codes of the command line, and what is printed about a run that was stopped."""

import sys

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


def print_error(message: str) -> int:
    """Print what went wrong as one line, and return the exit code."""
    print_remark(message)
    return FAILED


def print_remark(message: str) -> None:
    """Print one line on the error output.

    What could move the cursor or colour the terminal is printed as an escape.
    """
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)
    print(f"workbench: {shown}", file=sys.stderr)


def report_interruption(run: str = "") -> int:
    """Print how to go on with what was stopped, perhaps a run, and return the exit code."""
    resumed = f", and so does `workbench train --resume {run}`" if run else ""
    print(
        "\nworkbench: interrupted; what was done is kept. "
        f"The same command goes on from there{resumed}.",
        file=sys.stderr,
    )
    return INTERRUPTED
