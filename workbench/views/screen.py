"""One place in a notebook that shows a picture and a line of text, from whichever thread, without flicker.

The picture is an image widget whose bytes are replaced. The output also holds a plain PNG; ``freeze`` leaves nothing
but that, so that a saved notebook shows it without a kernel; ``thaw`` brings the widget back.
"""

import base64
import html
from typing import Any

VIEW = "application/vnd.jupyter.widget-view+json"


class Screen:
    """A picture of ``width`` x ``height`` pixels and a line below; without ipywidgets the picture is static."""

    def __init__(self, width: int, height: int):
        self.png = b""
        self.image, self.line = _widgets(width, height)
        self._handles: list[Any] = []

    def put(self, png: bytes) -> None:
        """Show another picture."""
        self.png = png
        if self.image is not None:
            self.image.value = png

    def say(self, words: str, alarm: bool = False) -> None:
        """Show a line of text, red if it is an alarm; markup in it stays text."""
        if self.line is not None:
            self.line.value = f'<span style="color:{"#b00020" if alarm else "#333333"}">{html.escape(words)}</span>'

    def show(self, live: bool = True) -> None:
        """Display it in the cell that runs now."""
        from IPython.display import display

        if self.image is None or not live:
            display(self.static(), raw=True)
            return
        display(self.line)
        self._handles.append(display(self._live(), raw=True, display_id=True))

    def freeze(self) -> None:
        """Leave a plain picture wherever it was shown."""
        self._update(self.static())

    def thaw(self) -> None:
        """Bring the widget back where it was frozen."""
        self._update(self._live())

    def _update(self, data: dict[str, Any]) -> None:
        for handle in self._handles:
            if handle is not None:  # outside a notebook there is none
                handle.update(data, raw=True)

    def _live(self) -> dict[str, Any]:
        bundle = self.image._repr_mimebundle_()
        return {VIEW: (bundle[0] if isinstance(bundle, tuple) else bundle)[VIEW], **self.static()}

    def static(self) -> dict[str, str]:
        """The picture as a notebook keeps it."""
        picture = {"image/png": base64.b64encode(self.png).decode()} if self.png else {}
        return {**picture, "text/plain": "a picture of the workbench"}


def _widgets(width: int, height: int) -> tuple[Any, Any]:
    try:
        import ipywidgets
    except ImportError:
        return None, None
    image = ipywidgets.Image(format="png", width=str(width), height=str(height))
    image.layout.object_fit = "contain"  # a narrow page makes it smaller, not thinner
    image.layout.min_height = f"{height}px"  # a place that changes its height makes the page jump
    image.add_class("workbench-live")
    return image, ipywidgets.HTML()
