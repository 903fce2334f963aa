"""One self-contained HTML file of a circuit run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from .drawing import draw

TEMPLATE = Path(__file__).with_name("report.html")


def report(found: dict[str, Any], name: str) -> str:
    """HTML of circuit.json's content; text of prompts and tokens is escaped."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "interval": _interval, "percent": _percent}
    drawing = Markup(draw(found)) if found["nodes"] else Markup("")  # escapes what it writes
    named = [node for node in found["nodes"] if node["role"]]
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(found=found, name=name, drawing=drawing, named=named)


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(value: dict[str, float] | None) -> str:
    return (
        "–"
        if value is None
        else f"{value['value']:.2f} ({value['low']:.2f} to {value['high']:.2f})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
