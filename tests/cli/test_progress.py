"""Progress on a terminal and elsewhere."""

import io

from workbench.cli.progress import LINE_SECONDS, Lines, bars


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """True, as for a terminal."""
        return True


def test_short_work_says_nothing_in_a_pipe() -> None:
    """What ends within half a minute leaves no trace in a log or a pipe."""
    out = io.StringIO()
    with bars(out) as progress:
        for done in range(101):
            progress(done, 100, "training")
    assert out.getvalue() == ""


def test_long_work_says_a_line_now_and_then() -> None:
    """Lines end, and have the share and the time so far."""
    now = [0.0]
    out = io.StringIO()
    lines = Lines(out, lambda: now[0])
    lines.report(0, 200, "training")
    now[0] = LINE_SECONDS
    lines.report(50, 200, "training")
    now[0] += 1.0
    lines.report(60, 200, "training")
    lines.report(0, 10, "testing")
    assert out.getvalue() == "training: 25 % in 30 s\n"


def test_many_short_works_in_turn_are_no_silence() -> None:
    """Work of many steps, each shorter than the time between two lines, still says something."""
    now = [0.0]
    out = io.StringIO()
    lines = Lines(out, lambda: now[0])
    for step in range(10):
        for done in range(10):
            lines.report(done, 10, f"step {step}")
            now[0] += LINE_SECONDS / 20
    assert out.getvalue().count("\n") == 4
    assert out.getvalue().startswith("step 2: 0 % in 0 s\n")


def test_the_last_state_of_a_bar_is_its_end() -> None:
    """A terminal shows 100 % and no counts of units that nobody knows."""
    out = Terminal()
    with bars(out) as progress:
        progress(0, 2700, "sweep s, 27 runs")
        progress(2700, 2700, "sweep s, 27 runs")
    last = out.getvalue().rstrip().rpartition("\r")[2]
    assert "sweep s, 27 runs: 100 %" in last
    assert "2700" not in out.getvalue()
