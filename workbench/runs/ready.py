"""A process that has loaded what training needs before it is asked to do anything.

Loading takes longer than all else between *Start* and the first measurement.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.storage.home import data_folder
from workbench.system.processes import child_environment

MODULE = "workbench.cli.ready"  # what the process runs
READY_SECONDS = 1800.0  # a process that is not asked for so long ends, and gives its memory back


@dataclass(frozen=True)
class Order:
    """What a ready process is asked to do: words of the command line, its log, the data folder."""

    words: list[str]
    log: str
    data: str


class ReadyProcess:
    """A process that waits for the words of one command."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            bufsize=0,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            start_new_session=True,
        )

    @property
    def waiting(self) -> bool:
        """Whether the process still can be asked."""
        return self.process.poll() is None

    def ask(self, words: Sequence[str], log: Path) -> bool:
        """Let the process run ``workbench WORDS``; return False if it has ended before."""
        order = Order(list(words), str(log), str(data_folder()))
        try:
            if self.waiting and self.process.stdin is not None:
                self.process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
                return True
            return False
        except BrokenPipeError:
            return False
        finally:
            self.dismiss()

    def dismiss(self) -> None:
        """Ask nothing more of the process: it ends if nothing was asked before."""
        if self.process.stdin is not None:
            self.process.stdin.close()


def wait_for_order() -> Order | None:
    """Return what this process is asked to do; None if who started it has ended or needs nothing.

    The output of this process goes to the log of the order then.
    """
    if not select.select([sys.stdin], [], [], READY_SECONDS)[0]:
        return None
    line = sys.stdin.readline()
    if not line:
        return None

    order = Order(**json.loads(line))
    with open(order.log, "wb") as log, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    return order
