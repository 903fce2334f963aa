from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from hubel.agent.rescoring.plots import (
    HEIGHT,
    WIDTH,
    Dot,
    Level,
    intervals,
    scatter,
    score_by_layer,
)

DOTS = [
    Dot(1, 0.4, "kept", "a", 0.3, 0.5),
    Dot(1, -0.3, "rejected", "b", -0.4, -0.2),
    Dot(28, 0.97, "inconclusive", "<c>"),
]


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(tag))


def test_every_target_is_drawn_once_and_inside():
    for svg in (score_by_layer(DOTS, []), scatter(DOTS, "x", "y", "title"), intervals(DOTS, 0.2)):
        circles, crosses = (
            elements(svg, "circle"),
            [p for p in elements(svg, "path") if "rejected" in p.attrib["class"]],
        )
        assert (len(circles), len(crosses)) == (2, 1)
        for circle in circles:
            assert 0 <= float(circle.attrib["cx"]) <= WIDTH
            assert 0 <= float(circle.attrib["cy"]) <= HEIGHT


def test_higher_is_higher_and_layers_go_right():
    kept, strong = elements(score_by_layer(DOTS, []), "circle")
    assert float(strong.attrib["cy"]) < float(kept.attrib["cy"])
    assert float(strong.attrib["cx"]) > float(kept.attrib["cx"])


def test_a_level_lies_at_its_value():
    svg = score_by_layer([Dot(3, 0.4, "kept", "a")], [Level(3, 0.4, "mean", "mean 0.40")])
    (line,) = [e for e in elements(svg, "line") if e.attrib["class"] == "mean"]
    assert line.attrib["y1"] == line.attrib["y2"] == elements(svg, "circle")[0].attrib["cy"]


def test_no_drop_lies_on_the_diagonal():
    svg = scatter([Dot(0.5, 0.5, "kept", "a")], "x", "y", "title")
    (diagonal,) = [e for e in elements(svg, "line") if e.attrib["class"] == "threshold"]
    x1, y1, x2, y2 = (float(diagonal.attrib[k]) for k in ("x1", "y1", "x2", "y2"))
    (circle,) = elements(svg, "circle")
    x, y = float(circle.attrib["cx"]), float(circle.attrib["cy"])
    assert abs((x - x1) / (x2 - x1) - (y - y1) / (y2 - y1)) < 0.01


def test_an_interval_spans_its_ends():
    svg = intervals(DOTS, 0.2)
    spans = [e for e in elements(svg, "line") if e.attrib["class"].startswith("interval")]
    assert len(spans) == 2
    for span, dot in zip(spans, DOTS, strict=False):
        assert dot.low is not None
        assert dot.high is not None
        assert float(span.attrib["x1"]) < float(span.attrib["x2"])


def test_labels_are_text():
    assert "<c>" not in score_by_layer(DOTS, [])
    assert "&lt;c&gt;" in score_by_layer(DOTS, [])


def test_nothing_to_draw_is_an_empty_plot():
    for svg in (score_by_layer([], []), scatter([], "x", "y", "title"), intervals([], 0.2)):
        assert not elements(svg, "circle")
