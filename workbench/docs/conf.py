"""Sphinx's configuration: pages in Markdown, equations as MathML, and no request to any network."""

from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from workbench.docs.reference import write_pages

project = "workbench"
author = "the workbench contributors"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "workbench"
html_show_copyright = False
html_copy_source = False
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"


def render_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write an equation within a line as MathML."""
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def render_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write an equation of its own as MathML; a wide one scrolls."""
    equation = convert(node.astext(), display="block")
    translator.body.append(
        f'<div style="overflow-x: auto; overflow-y: hidden; padding: 0.4em 0">{equation}</div>'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Write the pages that are made from the code, and register the renderer of equations."""
    write_pages(Path(app.srcdir))
    app.add_html_math_renderer("mathml", (render_inline, None), (render_block, None))
