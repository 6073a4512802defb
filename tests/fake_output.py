"""A stand-in for the output of a notebook's cell."""

from typing import Any


class Output:
    """An output of a cell; ``updates`` are the contents that it was changed to."""

    def __init__(self) -> None:
        self.updates: list[dict[str, Any]] = []

    def update(self, data: dict[str, Any], raw: bool) -> None:
        """Changes the content, which is ``raw``: by MIME type."""
        assert raw
        self.updates.append(data)
