"""``workbench attach``: follow a run from a terminal, whatever process trains it."""

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from workbench.storage.rows import EvaluateRow
    from workbench.storage.run import Run, RunState

EXAMPLES = ""
PERIOD = 0.5  # seconds between looks at the run's files
RETURNS_KEPT = 100  # returns to a checkpoint, and other rows of one kind, that are kept
QUIET_SECONDS = 10.0  # without a new row, after which the line of updates says so
CLEAR_LINE = "\r\x1b[K"  # the characters that clear the line which is being rewritten


@dataclass(frozen=True)
class Options:
    """What the command line gave."""

    run: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("run", metavar="RUN")


def run(options: Options) -> None:
    """Follow the run until it ends."""
    from workbench.storage.run import find_run

    follow(find_run(options.run), sys.stdout)


def follow(run: "Run", out: TextIO, period: float = PERIOD) -> "RunState":
    """Print the last measurement and every new one until the run ends, and return the run's state.

    Returns to a checkpoint are printed too, with their causes, and that nothing has happened for
    some time. Ctrl-C only ends the following; the answer is then ``running``.
    """
    from workbench.figures.tail import Tail
    from workbench.storage.run import RunState

    tail = Tail(run, most=RETURNS_KEPT)
    tail.read()
    shown = max(0, len(tail.evaluations) - 1)
    told = set(tail.returns)
    output = AttachedOutput(out)
    silence = Silence()
    output.write_line(f"{run.name}: {run.status()}")

    try:
        while True:
            status = run.status()  # read before the rows, so that the last rows are printed
            if tail.read():
                silence.end()
            for row in tail.returns:
                if row not in told:
                    told.add(row)
                    output.write_line(row.text)
            rows = tail.evaluations
            if shown > len(rows):  # the run went back to a checkpoint
                shown = 0
            for measured in rows[shown:]:
                output.write_line(describe_measurement(measured))
            shown = len(rows)

            if not status.state.active:
                break
            output.show_updates(tail.total["push"], silence)
            time.sleep(period)
    except KeyboardInterrupt:
        output.write_line(
            f"{run.name}: detached after {tail.total['push']} updates; the run continues"
        )
        return RunState.RUNNING

    output.write_line(f"{run.name}: {status} after {tail.total['push']} updates")
    return status.state


class Silence:
    """For how long a run has written nothing, and when to say so in a log."""

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """The run has just written something."""
        self.began = time.monotonic()
        self.told_at = QUIET_SECONDS

    @property
    def words(self) -> str:
        """Say for how long nothing has happened, if that is long."""
        seconds = time.monotonic() - self.began
        return f"nothing new for {seconds:.0f} s" if seconds >= QUIET_SECONDS else ""

    def due(self) -> bool:
        """Whether a log should say so now: at first, and whenever it has lasted twice as long."""
        if time.monotonic() - self.began < self.told_at:
            return False
        self.told_at *= 2
        return True


class AttachedOutput:
    """Where the lines go: a terminal, whose last line is written again and again, or a log."""

    def __init__(self, out: TextIO):
        self.out = out
        self.terminal = out.isatty()
        self.clear = CLEAR_LINE if self.terminal else ""

    def write_line(self, text: str) -> None:
        """Print a line that stays."""
        print(f"{self.clear}{text}", file=self.out, flush=True)

    def show_updates(self, updates: int, silence: Silence) -> None:
        """Tell how many updates there are; in a log only if there have been none for long."""
        text = ", ".join(filter(None, [f"{updates} updates", silence.words]))
        if self.terminal:
            print(f"{self.clear}{text}", end="", file=self.out, flush=True)
        elif silence.due():
            self.write_line(text)


def describe_measurement(row: "EvaluateRow") -> str:
    """One evaluation as a line."""
    parts = [f"epoch {row.epochs:.2f}", f"{row.updates} updates", f"{row.seconds:.1f} s"]
    measured = row.measured
    if measured.mmi is not None:
        parts.append(f"F_MMI {measured.mmi:.4f}")
    if measured.wer is not None:
        parts.append(f"WER % {100 * measured.wer:.1f}")
    if measured.frame_error is not None:
        parts.append(f"frame error % {100 * measured.frame_error:.1f}")
    return "  ".join(parts)
