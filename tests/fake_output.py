"""A stand-in for the output of a notebook's cell."""

from typing import Any


class Output:
    """An output of a cell; ``updates`` are the contents that it was changed to.

    ``displays``: what was displayed, in the order of its coming.
    """

    def __init__(self) -> None:
        self.displays: list[object] = []
        self.updates: list[dict[str, Any]] = []

    def display(self, *shown: object, **how: object) -> "Output":
        """As ``IPython.display.display``."""
        self.displays += shown
        return self

    def update(self, data: dict[str, Any], raw: bool) -> None:
        """Changes the content, which is ``raw``: by MIME type."""
        assert raw
        self.updates.append(data)
