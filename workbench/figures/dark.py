"""Pictures on dark pages: what is drawn in lines becomes light on dark, and keeps its hues."""

import base64

PICTURE_CLASS = "workbench-figure"
COLOURS_CLASS = "workbench-colours"  # of pictures whose lightness has a meaning
DARK_FILTER = "invert(.93) hue-rotate(180deg)"
# JupyterLab and VS Code name their theme on the body of the page.
DARK_STYLE = (
    f'<style>body[data-jp-theme-light="false"] img.{PICTURE_CLASS}, '
    f'body[data-jp-theme-light="false"] .{PICTURE_CLASS} img, '
    f"body.vscode-dark img.{PICTURE_CLASS} {{filter: {DARK_FILTER}}}</style>"
)


def picture_class(keeps_colours: bool) -> str:
    """Return the class of a picture: of those that turn dark, or of those that stay."""
    return COLOURS_CLASS if keeps_colours else PICTURE_CLASS


def picture_html(png: bytes, keeps_colours: bool = False, below: float = 2.0) -> str:
    """Return a picture for a notebook, with the rule that makes it dark in a dark theme.

    ``below``: pixels of room below it.
    """
    encoded = base64.b64encode(png).decode()
    name = picture_class(keeps_colours)
    place = f"display:block;margin:0 0 {below:g}px 0"
    source = f"data:image/png;base64,{encoded}"
    return f'{DARK_STYLE}<img class="{name}" alt="" style="{place}" src="{source}">'
