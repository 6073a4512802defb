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


def report_interruption() -> int:
    """Print how to resume what was stopped or interrupted, and return the exit code."""
    print(
        "\nworkbench: interrupted; what was done is kept. "
        "Run the same command (or `workbench train --resume RUN`) to resume.",
        file=sys.stderr,
    )
    return INTERRUPTED
