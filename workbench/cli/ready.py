"""What `workbench.runs.ready` starts: it loads what training needs, waits, and runs one command."""

import os
import sys

from workbench.cli.main import main
from workbench.runs.ready import wait_for_order


def run() -> int:
    """Load, wait for the words of a command, and run it; return its exit code."""
    import workbench.runs.train  # noqa: F401  loaded before anybody waits for it

    order = wait_for_order()
    if order is None:
        return 0
    os.environ["WORKBENCH_DATA"] = order.data
    return main(order.words)


if __name__ == "__main__":
    sys.exit(run())
