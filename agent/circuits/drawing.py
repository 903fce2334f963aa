"""A circuit as one self-contained SVG: components by layer, the input below, the logits above.

Only components with a role are drawn, with the strongest edges among them; a circuit of a thousand
edges is no picture. An edge into a key-value head goes to every drawn head that reads it. Orange
edges help the clean answer, blue ones work against it, and the wider an edge, the larger its
attribution.
"""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape
from typing import Any, NamedTuple

WIDTH, MARGIN, TOP, ROW = 1280, 20, 74, 92
BOX_WIDTH, BOX_HEIGHT = 168, 50
EDGES = 60
HELPS, OPPOSES, INK, QUIET, DROPPED = "#d97706", "#2f6bd8", "#1a1a1a", "#5c5c5c", "#9a9a9a"
FILLS = ("#e3eef9", "#fdebd8", "#e4f3e2", "#f3e6f5", "#fbf6d4", "#e2f4f4", "#f9e2e6", "#ececec")
_TARGET = re.compile(r"(?P<node>[\w.]+)<(?P<input>\w+)>")


class Box(NamedTuple):
    """A drawn component: its centre, and what it says."""

    x: float
    y: float
    node: dict[str, Any]


class DrawnEdge(NamedTuple):
    """A drawn edge."""

    source: str
    target: str
    weight: float
    says: str


def draw(found: dict[str, Any]) -> str:
    """SVG text of a finished circuit (circuit.json's content)."""
    shown = [node for node in found["nodes"] if node["role"] or node["kind"] in ("input", "logits")]
    lines = _lines(found, {node["id"] for node in shown})
    touched = {end for line in lines for end in (line.source, line.target)}
    shown = [node for node in shown if node["role"] or node["id"] in touched]
    boxes, height = _placed(shown, lines)
    fills = _fills(shown)
    largest = max((abs(line.weight) for line in lines), default=1.0)
    parts = [_line(line, boxes, largest) for line in reversed(lines)]
    parts += [_box(box, fills) for box in boxes.values()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" role="img">\n'
        f"<title>{escape(_title(found))}</title>\n"
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n{_heading(found, len(lines))}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _title(found: dict[str, Any]) -> str:
    f = found["faithfulness"]
    total = found["graph"]["n_edges"]
    return (
        f"{found['task']} on {found['subject']}: {found['chosen_edges']:,} of {total:,} edges, "
        f"held-out f {f['value']:.2f} ({f['low']:.2f} to {f['high']:.2f}): {found['verdict']}"
    )


def _heading(found: dict[str, Any], lines: int) -> str:
    said = (
        f"the {lines} strongest edges among the components with a role; orange helps the answer, blue works against "
        "it; dashed boxes: a prediction of the role failed on held-out prompts"
    )
    return (
        f'<text x="{MARGIN}" y="30" font-size="19" font-weight="600" fill="{INK}">{escape(_title(found))}</text>\n'
        f'<text x="{MARGIN}" y="52" font-size="13" fill="{QUIET}">{escape(said)}</text>'
    )


def _lines(found: dict[str, Any], ids: set[str]) -> list[DrawnEdge]:
    """The strongest edges among drawn components, one for each pair of ends and input, the strongest first."""
    graph = found["graph"]
    group = graph["n_heads"] // graph["n_kv_heads"]
    lines: list[DrawnEdge] = []
    for edge in found["edges"]:  # the strongest first
        if not edge["in_circuit"] or edge["source"] not in ids:
            continue
        match = _TARGET.fullmatch(edge["target"])
        for node in _readers(match["node"], match["input"], group) if match else []:
            if node in ids:
                says = f"{edge['source']} to {edge['target']}: {edge['weight']:+.3f}"
                lines.append(DrawnEdge(edge["source"], node, edge["weight"], says))
    return lines[:EDGES]


def _readers(node: str, given: str, group: int) -> list[str]:
    if given not in ("k", "v"):
        return [node]
    _, layer, head = node.split(".")
    return [f"head.{layer}.{query}" for query in range(int(head) * group, (int(head) + 1) * group)]


def _placed(shown: list[dict[str, Any]], lines: list[DrawnEdge]) -> tuple[dict[str, Box], float]:
    """Rows from the logits down; each row ordered by where its nodes' edges lead."""
    rows: dict[float, list[dict[str, Any]]] = defaultdict(list)
    for node in shown:
        rows[_depth(node)].append(node)
    most = (WIDTH - 2 * MARGIN) // (BOX_WIDTH + 12)
    boxes: dict[str, Box] = {}
    y = TOP + BOX_HEIGHT / 2 + 6
    for at, depth in enumerate(sorted(rows, reverse=True)):
        members = sorted(rows[depth], key=lambda node: _pull(node, lines, boxes, at))
        for start in range(0, len(members), most):
            some = members[start : start + most]
            gap = (WIDTH - 2 * MARGIN) / len(some)
            shift = (
                0.0
                if len(some) > 2
                else (-0.16, 0.16)[at % 2] * gap * (depth not in (INFINITE, -1))
            )
            for place, node in enumerate(some):
                boxes[node["id"]] = Box(MARGIN + gap * (place + 0.5) + shift, y, node)
            y += ROW
    return boxes, y - ROW / 2 + 24


INFINITE = float("inf")


def _depth(node: dict[str, Any]) -> float:
    if node["kind"] in ("input", "logits"):
        return INFINITE if node["kind"] == "logits" else -1
    return node["layer"] + (0.5 if node["kind"] == "mlp" else 0)


def _pull(node: dict[str, Any], lines: list[DrawnEdge], boxes: dict[str, Box], at: int) -> float:
    found = [
        (boxes[line.target].x, abs(line.weight))
        for line in lines
        if line.source == node["id"] and line.target in boxes
    ]
    total = sum(weight for _, weight in found)
    return sum(x * weight for x, weight in found) / total if total else (-1.0) ** at * WIDTH


def _fills(shown: list[dict[str, Any]]) -> dict[str, str]:
    roles = list(dict.fromkeys(node["role"] for node in shown if node["role"]))
    return {role: FILLS[at % len(FILLS)] for at, role in enumerate(roles)}


def _line(line: DrawnEdge, boxes: dict[str, Box], largest: float) -> str:
    one, two = boxes[line.source], boxes[line.target]
    x1, y1, x2, y2 = one.x, one.y - BOX_HEIGHT / 2, two.x, two.y + BOX_HEIGHT / 2
    bend = max(24.0, (y1 - y2) * 0.45)
    size = abs(line.weight) / largest
    colour = HELPS if line.weight < 0 else OPPOSES
    way = f"M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 - bend:.0f} {x2:.0f} {y2 + bend:.0f} {x2:.0f} {y2:.0f}"
    return (
        f'<path d="{way}" fill="none" '
        f'stroke="{colour}" stroke-width="{0.8 + 6 * size**0.7:.1f}" stroke-opacity="{0.22 + 0.55 * size**0.5:.2f}">'
        f"<title>{escape(line.says)}</title></path>"
    )


def _box(box: Box, fills: dict[str, str]) -> str:
    node = box.node
    dropped = node["role_status"] == "dropped"
    x, y = box.x - BOX_WIDTH / 2, box.y - BOX_HEIGHT / 2
    fill = fills.get(node["role"] or "", "#ffffff")
    dash = ' stroke-dasharray="5 3"' if dropped else ""
    effect = f"  {node['effect']['value']:+.2f}" if node["effect"] else ""
    role = _shortened(
        node["role"]
        or {"input": "token embeddings", "logits": "answer - foil"}.get(node["kind"], "")
    )
    ink = DROPPED if dropped else INK
    return (
        f"<g><title>{escape(node['description'] or node['id'])}</title>"
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="7" fill="{fill}" '
        f'stroke="{DROPPED if dropped else QUIET}"{dash}/>'
        f'<text x="{box.x:.0f}" y="{box.y - 5:.0f}" text-anchor="middle" font-size="14" font-weight="600" '
        f'fill="{ink}">{escape(node["id"])}<tspan font-weight="400" fill="{QUIET}">{escape(effect)}</tspan></text>'
        f'<text x="{box.x:.0f}" y="{box.y + 14:.0f}" text-anchor="middle" font-size="12.5" fill="{ink}">'
        f"{escape(role)}</text></g>"
    )


def _shortened(text: str, longest: int = 26) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
