"""What the tests of notebooks share."""

import pytest
from fake_output import Output


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    """The output in which everything is displayed."""
    made = Output()
    monkeypatch.setattr("IPython.display.display", lambda *shown, **how: made)
    return made
