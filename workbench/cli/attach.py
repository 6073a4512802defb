"""``workbench attach``: follow a run from a terminal, whatever process trains it."""

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from workbench.storage.run import Run

EXAMPLES = ""
PERIOD = 0.5  # seconds between looks at the run's files
UNFINISHED = ("running", "new")


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


def follow(run: "Run", out: TextIO, period: float = PERIOD) -> str:
    """Print the last measurement and every new one until the run ends, and return the run's state.

    Ctrl-C only ends the following; the answer is then ``running``.
    """
    from workbench.figures.tail import Tail

    tail = Tail(run, most=1)
    tail.read()
    shown = max(0, len(tail.rows["evaluate"]) - 1)
    terminal = out.isatty()
    print(f"{run.name}: {describe_state(run.status())}", file=out, flush=True)

    try:
        while True:
            status = run.status()  # read before the rows, so that the last rows are printed
            tail.read()
            rows = list(tail.rows["evaluate"])
            if shown > len(rows):  # the run went back to a checkpoint
                shown = 0
            for row in rows[shown:]:
                print(f"{clear_line(terminal)}{describe_measurement(row)}", file=out, flush=True)
            shown = len(rows)

            if status["state"] not in UNFINISHED:
                break
            if terminal:
                updates = f"{clear_line(terminal)}{tail.total['push']} updates"
                print(updates, end="", file=out, flush=True)
            time.sleep(period)
    except KeyboardInterrupt:
        print(
            f"{clear_line(terminal)}{run.name}: detached after {tail.total['push']} updates; "
            "the run continues",
            file=out,
        )
        return "running"

    print(
        f"{clear_line(terminal)}{run.name}: {describe_state(status)} "
        f"after {tail.total['push']} updates",
        file=out,
        flush=True,
    )
    return str(status["state"])


def clear_line(terminal: bool) -> str:
    """The characters that clear the line which is being rewritten."""
    return "\r\x1b[K" if terminal else ""


def describe_state(status: dict[str, Any]) -> str:
    """The state, with the error that caused it."""
    error = f" ({status['error']})" if status.get("error") else ""
    return f"{status['state']}{error}"


def describe_measurement(row: dict[str, Any]) -> str:
    """One evaluation as a line."""
    parts = [f"epoch {row['epochs']:.2f}", f"{row['updates']} updates", f"{row['seconds']:.1f} s"]
    if row.get("mmi") is not None:
        parts.append(f"F_MMI {row['mmi']:.4f}")
    if row.get("wer") is not None:
        parts.append(f"WER % {100 * row['wer']:.1f}")
    if row.get("frame_error") is not None:
        parts.append(f"frame error % {100 * row['frame_error']:.1f}")
    return "  ".join(parts)
