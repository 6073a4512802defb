"""The picture of the package's rooms: ``python -m workbench.docs.rooms`` draws who imports whom."""

import ast
import re
from collections import Counter
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

PACKAGE = Path(__file__).resolve().parents[1]
ARROW = "arrow"  # how the picture names its arrows, with a number
PICTURE = Path(__file__).with_name("images") / "rooms.svg"
ROOM = re.compile(r"^ {6}(\w+)(?:\.py|/) +(.*)$", re.MULTILINE)


def rooms() -> dict[str, str]:
    """The rooms in the order of ARCHITECTURE.md, each with its line."""
    return dict(ROOM.findall((PACKAGE / "ARCHITECTURE.md").read_text()))


def imports() -> Counter[tuple[str, str]]:
    """How many imports lead from one room to another: (importer, imported) and their number."""
    counted: Counter[tuple[str, str]] = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for used in imported_rooms(ast.parse(path.read_text())):
            if used != room and not room.startswith("__"):
                counted[room, used] += 1
    return counted


def imported_rooms(tree: ast.Module) -> list[str]:
    """The room of every import from this package in a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbench"):
            parts = (node.module or "").split(".")
            found += [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found += [parts[1] for parts in names if parts[0] == "workbench" and len(parts) > 1]
    return found


def draw() -> Figure:
    """The rooms from top to bottom, and an arc from each to every room that it imports."""
    known = rooms()
    place = {name: -number for number, name in enumerate(known)}
    figure = Figure(figsize=(11, 0.34 * len(known)), layout="constrained")
    FigureCanvasSVG(figure)
    axes: Axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(-3.6, 12)
    axes.set_ylim(-len(known) + 0.4, 0.6)

    for name, line in known.items():
        axes.text(0, place[name], name, ha="right", va="center", weight="bold", fontsize=9)
        axes.text(
            3.6, place[name], line[:95], ha="left", va="center", fontsize=7.5, color="#444444"
        )
    for n, ((importer, imported), number) in enumerate(sorted(imports().items())):
        if importer in place and imported in place:
            arrow = arc(place[importer], place[imported], number, len(known))
            arrow.set_gid(f"{ARROW}-{n}")
            axes.add_patch(arrow)
    return figure


def arc(start: int, end: int, number: int, rooms_in_all: int) -> FancyArrowPatch:
    """An arc from importer to imported on the right of the names; the more imports, the darker."""
    bend = 0.55 * (1 - abs(end - start) / (1.6 * rooms_in_all))
    return FancyArrowPatch(
        (0.15, start),
        (0.15, end),
        connectionstyle=f"arc3,rad={-bend if end < start else bend}",
        arrowstyle="-|>",
        mutation_scale=7,
        linewidth=0.8,
        color="#0072B2" if end > start else "#D55E00",
        alpha=min(1.0, 0.25 + 0.05 * number),
    )


def main() -> None:
    """Write the picture and print its path."""
    PICTURE.parent.mkdir(exist_ok=True)
    with rc_context({"svg.fonttype": "path", "svg.hashsalt": "rooms"}):
        draw().savefig(PICTURE, metadata={"Date": None})
    print(PICTURE)


if __name__ == "__main__":
    main()
