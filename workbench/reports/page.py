"""The parts of a report's page: everything that comes from data is escaped, every picture is inside."""

from collections.abc import Sequence
from html import escape

from matplotlib.figure import Figure

from workbench.figures.style import data_uri

SHORT = 24  # characters
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}
td,th{padding:.25rem .7rem;border-bottom:1px solid #e5e5e5;text-align:right}
td.short{white-space:nowrap}
td:first-child,th:first-child{text-align:left}img{max-width:100%}code,pre{background:#f5f5f5;padding:.1rem .3rem}
pre{overflow:auto;padding:.6rem;white-space:pre-wrap}figcaption,.note{color:#555;font-size:.9rem}figure{margin:1rem 0}
@media print{body{margin:0;max-width:none}table{display:table}h2{break-after:avoid}figure,tr{break-inside:avoid}}
"""


def document(title: str, parts: Sequence[str]) -> str:
    """A whole page."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = f"<h1>{escape(title)}</h1>" + "".join(parts)
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body>{body}</body></html>'


def section(title: str, body: str) -> str:
    """A heading and what stands under it; nothing without a body."""
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


def picture(caption: str, fig: Figure) -> str:
    """A figure with its caption."""
    caption = escape(caption)
    return f'<figure><img alt="{caption}" src="{data_uri(fig)}"><figcaption>{caption}</figcaption></figure>'


def note(text: str) -> str:
    """Small print."""
    return f'<p class="note">{escape(text)}</p>'


def table_html(rows: Sequence[dict[str, str]]) -> str:
    """Rows of text cells as a table; nothing without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(c)}</th>" for c in rows[0])
    body = "".join("<tr>" + "".join(_cell(str(v)) for v in r.values()) + "</tr>" for r in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(text: str) -> str:
    """What is short stays on one line."""
    return (
        f'<td class="short">{escape(text)}</td>'
        if len(text) <= SHORT
        else f"<td>{escape(text)}</td>"
    )


def table_markdown(rows: Sequence[dict[str, str]]) -> str:
    """The same as Markdown; bars and markup in the cells stay text."""
    if not rows:
        return ""
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    lines += [" | ".join(plain(v) for v in r.values()) for r in rows]
    return "\n".join(f"| {line} |" for line in lines)


def plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return escape(str(text), quote=False).replace("|", "\\|").replace("`", "\\`").replace("\n", " ")
