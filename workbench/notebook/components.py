"""How far each part of a run is: what replicas, decoders and evaluators have done, and when they were last heard."""

from dataclasses import dataclass

from workbench.figures.tail import Tail
from workbench.reports.page import escape

KINDS = {"push": "pushes", "decode": "utterances decoded", "evaluate": "evaluations"}
SILENT_SECONDS = 5.0  # of the run's clock, after which it is worth saying


@dataclass(frozen=True)
class Component:
    """One process: how many rows of each kind in KINDS it has written, and the time of the last (s)."""

    name: str
    done: dict[str, int]
    seconds: float


def components(tail: Tail) -> list[Component]:
    """Every process that has done anything, replicas first, by number."""
    found = [
        Component(
            name, {kind: count for kind, count in counts.items() if kind in KINDS}, tail.heard[name]
        )
        for name, counts in tail.counts.items()
    ]
    order = ("replica", "decoder", "evaluator")
    return sorted((c for c in found if c.done), key=lambda c: (order.index(kind(c)), number(c)))


def kind(component: Component) -> str:
    """What it is, by what it does."""
    return (
        "replica"
        if "push" in component.done
        else "decoder"
        if "decode" in component.done
        else "evaluator"
    )


def number(component: Component) -> int:
    """Its number among its kind."""
    last = component.name.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def components_html(found: list[Component], going_on: bool) -> str:
    """A table in a place of fixed height; who has been silent for long is named so, while the run goes on."""
    now = max((c.seconds for c in found), default=0.0)
    rows = []
    for c in found:
        silent = now - c.seconds
        state = (
            "at rest"
            if not going_on
            else f"silent for {silent:.0f} s"
            if silent > SILENT_SECONDS
            else "at work"
        )
        done = ", ".join(f"{count} {KINDS[kind]}" for kind, count in c.done.items())
        cells = (c.name, done, f"{c.seconds:.1f} s", state)
        rows.append(
            "<tr>"
            + "".join(f'<td style="padding-right:2em">{escape(x)}</td>' for x in cells)
            + "</tr>"
        )
    head = "".join(
        f'<th style="text-align:left;padding-right:2em">{x}</th>'
        for x in ("component", "has done", "last heard at", "state")
    )
    table = (
        f"<table><tr>{head}</tr>{''.join(rows)}</table>" if rows else "nothing has been heard yet"
    )
    return f'<div style="height:10em;overflow:auto;line-height:1.4">{table}</div>'
