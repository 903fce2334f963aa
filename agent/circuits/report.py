"""One self-contained HTML file of a circuit run.

It is not written with the review page's report: that room is above this one and needs a browser that
runs scripts, while this file is part of what a circuit run writes and can be read as plain text.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from .drawing import draw_circuit
from .result import CircuitResult, IntervalRow

TEMPLATE = Path(__file__).with_name("report.html")


def render_report(result: CircuitResult, name: str) -> str:
    """HTML of circuit.json's content; text of prompts and tokens is escaped."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "interval": _interval, "percent": _percent}
    drawing = Markup("")
    if result["verdict"] != "cannot do":
        drawing = Markup(draw_circuit(result))  # draw_circuit escapes its texts
    with_role = [node for node in result["nodes"] if node["role"]]
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(result=result, name=name, drawing=drawing, with_role=with_role)


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(row: IntervalRow | None) -> str:
    return "–" if row is None else f"{row['value']:.2f} ({row['low']:.2f} to {row['high']:.2f})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
