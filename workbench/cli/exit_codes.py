"""Exit codes of the command line, and what is printed about a run that was stopped."""

import sys

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


def report_interruption() -> int:
    """Print how to resume what was stopped or interrupted, and return the exit code."""
    print(
        "\nworkbench: interrupted; what was done is kept. "
        "Run the same command (or `workbench train --resume RUN`) to resume.",
        file=sys.stderr,
    )
    return INTERRUPTED
