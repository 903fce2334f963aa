"""The circuit engine's ratios on a tiny subject: both ways give the same, and a family without edges is left out."""

from hubel.bench.speed.circuits import circuits_speed
from tests.support.tiny import tiny_subject


def test_both_ways_agree_and_are_timed() -> None:
    heads, attribution = circuits_speed(tiny_subject())
    assert heads.name == "12 heads patched exactly"
    assert "190 edges" in attribution.name
    assert min(heads.ours, heads.naive, attribution.ours, attribution.naive) > 0


def test_a_family_without_edges_has_no_ratio() -> None:
    assert circuits_speed(tiny_subject("gemma2")) == []
