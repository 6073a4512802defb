"""Times in messages."""

from workbench.progress import duration_text


def test_times_are_said_as_people_say_them() -> None:
    """Seconds, minutes and hours, each where they have two digits or so."""
    assert [duration_text(s) for s in (4.4, 89, 600, 9000)] == ["4 s", "89 s", "10 min", "2.5 h"]
