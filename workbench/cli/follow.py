"""A run followed from a terminal, whoever started it: what it measures, line by line, and how far it is."""

import time
from typing import Any, TextIO

from workbench.figures.tail import Tail
from workbench.storage.run import Run

PERIOD = 0.5  # seconds between looks
GOING_ON = ("running", "new")


def follow(run: Run, out: TextIO, period: float = PERIOD) -> str:
    """Print the last measurement and every new one until the run ends, and return its state.

    Ctrl-C only detaches, and returns ``running``.
    """
    tail = Tail(run, most=1)
    tail.read()
    shown = max(0, len(tail.rows["evaluate"]) - 1)
    terminal = out.isatty()
    print(f"{run.name}: {said(run.status())}", file=out, flush=True)
    try:
        while True:
            status = run.status()  # before the rows, so that those written last are seen
            tail.read()
            rows = list(tail.rows["evaluate"])
            shown = shown if shown <= len(rows) else 0
            for row in rows[shown:]:
                print(f"{blank(terminal)}{measured(row)}", file=out, flush=True)
            shown = len(rows)
            if status["state"] not in GOING_ON:
                break
            if terminal:
                print(
                    f"{blank(terminal)}{tail.total['push']} updates", end="", file=out, flush=True
                )
            time.sleep(period)
    except KeyboardInterrupt:
        print(
            f"{blank(terminal)}{run.name}: detached after {tail.total['push']} updates; it goes on",
            file=out,
        )
        return "running"
    print(
        f"{blank(terminal)}{run.name}: {said(status)} after {tail.total['push']} updates",
        file=out,
        flush=True,
    )
    return status["state"]


def blank(terminal: bool) -> str:
    """What clears the line that is being rewritten."""
    return "\r\x1b[K" if terminal else ""


def said(status: dict[str, Any]) -> str:
    """The state in words."""
    return status["state"] + (f" ({status['error']})" if status.get("error") else "")


def measured(row: dict[str, Any]) -> str:
    """One evaluation as a line."""
    numbers = [f"epoch {row['epochs']:.2f}", f"{row['updates']} updates", f"{row['seconds']:.1f} s"]
    known = (
        ("mmi", "F_MMI", 1, ".4f"),
        ("wer", "WER %", 100, ".1f"),
        ("frame_error", "frame error %", 100, ".1f"),
    )
    numbers += [
        f"{title} {row[name] * times:{form}}"
        for name, title, times, form in known
        if row.get(name) is not None
    ]
    return "  ".join(numbers)
