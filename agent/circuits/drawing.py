"""A circuit as one self-contained SVG: components by layer, the input below, the logits above.

Only components with a role are drawn, with the strongest edges among them; a thousand edges are not
readable. An edge into a key-value head goes to every drawn head that reads it. Orange
edges help the clean answer, blue ones work against it, and the wider an edge, the larger its
attribution.
"""

from __future__ import annotations

import re
from collections import defaultdict
from html import escape
from typing import NamedTuple

from .result import FoundCircuit, NodeRow

WIDTH, MARGIN, TOP, ROW = 1280, 20, 74, 92
BOX_WIDTH, BOX_HEIGHT = 168, 50
EDGES = 60
HELPS, OPPOSES, INK, QUIET, DROPPED = "#d97706", "#2f6bd8", "#1a1a1a", "#5c5c5c", "#9a9a9a"
FILLS = ("#e3eef9", "#fdebd8", "#e4f3e2", "#f3e6f5", "#fbf6d4", "#e2f4f4", "#f9e2e6", "#ececec")
INFINITE = float("inf")
_TARGET = re.compile(r"(?P<node>[\w.]+)<(?P<input>\w+)>")


class Box(NamedTuple):
    """A drawn node and its centre."""

    x: float
    y: float
    node: NodeRow


class DrawnEdge(NamedTuple):
    """A drawn edge; `tooltip` names its ends and its effect."""

    source: str
    target: str
    weight: float
    tooltip: str


def draw_circuit(circuit: FoundCircuit) -> str:
    """SVG text of a circuit."""
    nodes = [n for n in circuit["nodes"] if n["role"] or n["kind"] in ("input", "logits")]
    edges = _strongest_edges(circuit, {node["id"] for node in nodes})
    # Input and logits are left out if no drawn edge touches them.
    touched = {end for edge in edges for end in (edge.source, edge.target)}
    nodes = [node for node in nodes if node["role"] or node["id"] in touched]
    boxes, height = _place(nodes, edges)
    roles = list(dict.fromkeys(node["role"] for node in nodes if node["role"]))
    fills = {role: FILLS[i % len(FILLS)] for i, role in enumerate(roles)}
    largest = max((abs(edge.weight) for edge in edges), default=1.0)
    parts = [_line(edge, boxes, largest) for edge in reversed(edges)]  # the strongest on top
    parts += [_box(box, fills) for box in boxes.values()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" role="img">\n'
        f"<title>{escape(_title(circuit))}</title>\n"
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n'
        f"{_heading(circuit, len(edges))}\n" + "\n".join(parts) + "\n</svg>\n"
    )


def _title(circuit: FoundCircuit) -> str:
    f = circuit["faithfulness"]
    total = circuit["graph"]["n_edges"]
    return (
        f"{circuit['task']} on {circuit['subject']}: {circuit['chosen_edges']:,} of {total:,} edges, "
        f"held-out f {f['value']:.2f} ({f['low']:.2f} to {f['high']:.2f}): {circuit['verdict']}"
    )


def _heading(circuit: FoundCircuit, n_edges: int) -> str:
    legend = (
        f"the {n_edges} strongest edges among the components with a role; orange helps the answer, blue works against "
        "it; dashed boxes: a prediction of the role failed on held-out prompts"
    )
    return (
        f'<text x="{MARGIN}" y="30" font-size="19" font-weight="600" fill="{INK}">{escape(_title(circuit))}</text>\n'
        f'<text x="{MARGIN}" y="52" font-size="13" fill="{QUIET}">{escape(legend)}</text>'
    )


def _strongest_edges(circuit: FoundCircuit, ids: set[str]) -> list[DrawnEdge]:
    """The strongest edges among drawn nodes, the strongest first."""
    graph = circuit["graph"]
    group = graph["n_heads"] // graph["n_kv_heads"]
    drawn: list[DrawnEdge] = []
    for edge in circuit["edges"]:  # the strongest first
        if not edge["in_circuit"] or edge["source"] not in ids:
            continue
        tooltip = f"{edge['source']} to {edge['target']}: {edge['weight']:+.3f}"
        for node in _nodes_fed(edge["target"], group):
            if node in ids:
                drawn.append(DrawnEdge(edge["source"], node, edge["weight"], tooltip))
    return drawn[:EDGES]


def _nodes_fed(target: str, group: int) -> list[str]:
    """The nodes that an edge's end feeds: a key-value head serves a group of query heads."""
    match = _TARGET.fullmatch(target)
    if match is None:
        return []
    if match["input"] not in ("k", "v"):
        return [match["node"]]
    _, layer, head = match["node"].split(".")
    return [f"head.{layer}.{query}" for query in range(int(head) * group, (int(head) + 1) * group)]


def _place(nodes: list[NodeRow], edges: list[DrawnEdge]) -> tuple[dict[str, Box], float]:
    """Boxes in rows from the logits down, each row in the order of where its edges lead; and the height."""
    rows: dict[float, list[NodeRow]] = defaultdict(list)
    for node in nodes:
        rows[_depth(node)].append(node)
    per_line = (WIDTH - 2 * MARGIN) // (BOX_WIDTH + 12)
    boxes: dict[str, Box] = {}
    y = TOP + BOX_HEIGHT / 2 + 6
    for row, depth in enumerate(sorted(rows, reverse=True)):
        members = sorted(rows[depth], key=lambda node: _mean_target_x(node, edges, boxes, row))
        for start in range(0, len(members), per_line):
            line = members[start : start + per_line]
            gap = (WIDTH - 2 * MARGIN) / len(line)
            shift = 0.0
            if len(line) <= 2 and depth not in (INFINITE, -1):
                # Sparse rows alternate left and right, or their edges would overlap.
                shift = (-0.16, 0.16)[row % 2] * gap
            for place, node in enumerate(line):
                boxes[node["id"]] = Box(MARGIN + gap * (place + 0.5) + shift, y, node)
            y += ROW
    return boxes, y - ROW / 2 + 24


def _depth(node: NodeRow) -> float:
    if node["kind"] in ("input", "logits"):
        return INFINITE if node["kind"] == "logits" else -1
    return node["layer"] + (0.5 if node["kind"] == "mlp" else 0)


def _mean_target_x(node: NodeRow, edges: list[DrawnEdge], boxes: dict[str, Box], row: int) -> float:
    """Where a node's edges lead, weighted by size; a node without edges goes to an end of its row."""
    own = [edge for edge in edges if edge.source == node["id"] and edge.target in boxes]
    total = sum(abs(edge.weight) for edge in own)
    if not total:
        return (-1.0) ** row * WIDTH
    return sum(boxes[edge.target].x * abs(edge.weight) for edge in own) / total


def _line(edge: DrawnEdge, boxes: dict[str, Box], largest: float) -> str:
    """An edge as a curve from the top of its source's box up to the bottom of its target's.

    Args:
        largest: the largest absolute weight of all drawn edges.
    """
    source, target = boxes[edge.source], boxes[edge.target]
    x1, y1 = source.x, source.y - BOX_HEIGHT / 2
    x2, y2 = target.x, target.y + BOX_HEIGHT / 2
    # A Bezier curve that leaves and arrives vertically.
    bend = max(24.0, (y1 - y2) * 0.45)
    path = (
        f"M{x1:.0f} {y1:.0f} C{x1:.0f} {y1 - bend:.0f} {x2:.0f} {y2 + bend:.0f} {x2:.0f} {y2:.0f}"
    )
    # Powers below 1, because a few edges are far larger than the rest, which would not be seen.
    size = abs(edge.weight) / largest
    width, opacity = 0.8 + 6 * size**0.7, 0.22 + 0.55 * size**0.5
    # Patching an edge that helps lowers the logit difference.
    colour = HELPS if edge.weight < 0 else OPPOSES
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:.1f}" '
        f'stroke-opacity="{opacity:.2f}">'
        f"<title>{escape(edge.tooltip)}</title></path>"
    )


def _box(box: Box, fills: dict[str, str]) -> str:
    """A node's box: its name and effect, and below them its role."""
    node = box.node
    dropped = node["role_status"] == "dropped"
    x, y = box.x - BOX_WIDTH / 2, box.y - BOX_HEIGHT / 2
    fill = fills.get(node["role"] or "", "#ffffff")
    dash = ' stroke-dasharray="5 3"' if dropped else ""
    effect = f"  {node['effect']['value']:+.2f}" if node["effect"] else ""
    ends = {"input": "token embeddings", "logits": "answer - foil"}
    role = _shortened(node["role"] or ends.get(node["kind"], ""))
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
