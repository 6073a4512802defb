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

    Returns to a checkpoint are printed too, with their causes. Ctrl-C only ends the following; the
    answer is then ``running``.
    """
    from workbench.figures.tail import Tail
    from workbench.storage.run import RunState

    tail = Tail(run, most=RETURNS_KEPT)
    tail.read()
    shown = max(0, len(tail.evaluations) - 1)
    told = set(tail.returns)
    changed = time.monotonic()
    terminal = out.isatty()
    print(f"{run.name}: {run.status()}", file=out, flush=True)

    try:
        while True:
            status = run.status()  # read before the rows, so that the last rows are printed
            if tail.read():
                changed = time.monotonic()
            for row in tail.returns:
                if row not in told:
                    told.add(row)
                    print(f"{clear_line(terminal)}{row.text}", file=out, flush=True)
            rows = tail.evaluations
            if shown > len(rows):  # the run went back to a checkpoint
                shown = 0
            for measured in rows[shown:]:
                line = describe_measurement(measured)
                print(f"{clear_line(terminal)}{line}", file=out, flush=True)
            shown = len(rows)

            if not status.state.active:
                break
            if terminal:
                updates = f"{tail.total['push']} updates{quiet(time.monotonic() - changed)}"
                print(f"{clear_line(terminal)}{updates}", end="", file=out, flush=True)
            time.sleep(period)
    except KeyboardInterrupt:
        print(
            f"{clear_line(terminal)}{run.name}: detached after {tail.total['push']} updates; "
            "the run continues",
            file=out,
        )
        return RunState.RUNNING

    print(
        f"{clear_line(terminal)}{run.name}: {status} after {tail.total['push']} updates",
        file=out,
        flush=True,
    )
    return status.state


def quiet(seconds: float) -> str:
    """Say for how long nothing has happened, if that is long."""
    return f", nothing new for {seconds:.0f} s" if seconds > QUIET_SECONDS else ""


def clear_line(terminal: bool) -> str:
    """The characters that clear the line which is being rewritten."""
    return "\r\x1b[K" if terminal else ""


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
