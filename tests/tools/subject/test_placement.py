"""Subjects spread over devices: layers on disk next to layers in memory, with hooks on both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hubel.bench.tiny_subject import miniature
from hubel.tools.errors import UsageError
from hubel.tools.subject import load_subject
from hubel.tools.subject.address import Site, Unit
from hubel.tools.subject.interventions import Intervention
from hubel.tools.subject.placement import placement

SITES = [Site("head", 1), Site("mlp", 0), Site("mlp", 1), Site("mlp", 2), Site("stream", 2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    tiny = miniature()
    tiny.model.save_pretrained(path)
    tiny.tokenizer.save_pretrained(path)
    return path


def write_map(path: Path, **changes: str) -> Path:
    devices = {"model.embed_tokens": "cpu", "model.rotary_emb": "cpu", "model.layers.0": "cpu"}
    devices |= {"model.layers.1": "disk", "model.layers.2": "cpu", "model.norm": "disk"}
    path.write_text(json.dumps(devices | {"lm_head": "disk"} | changes), encoding="utf-8")
    return path


def test_a_spread_subject_computes_what_the_whole_one_does(folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    spread = load_subject(
        str(folder), device=f"map:{write_map(tmp_path / 'map.json')}", progress=lines.append
    )
    whole = load_subject(str(folder), device="cpu")
    assert any("model.layers.1" in line and "disk" in line for line in lines)
    assert spread.revision == whole.revision
    ids = torch.arange(2 * 7).reshape(2, 7)
    changes = [
        [Intervention(Unit("mlp", 1, 3), "add", value=1.0)],
        [Intervention(Unit("head", 1, 2), "patch", source=tuple(range(9, 16)))],
    ]
    for interventions in (None, changes):
        ours = spread.capture(ids, SITES, interventions=interventions, logits=True)
        true = whole.capture(ids, SITES, interventions=interventions, logits=True)
        assert all(torch.equal(ours.activations[s], true.activations[s]) for s in SITES)
        assert ours.logits is not None
        assert true.logits is not None
        assert torch.equal(ours.logits, true.logits)
    # what is read from weights alone, also from those on disk
    direction = spread.write_direction(Unit("mlp", 1, 3))
    assert torch.equal(direction, whole.write_direction(Unit("mlp", 1, 3)))
    assert torch.equal(spread.logits_of(direction), whole.logits_of(direction))
    last = true.activations[Site("stream", 2)]
    assert torch.equal(spread.logits_from(last), whole.logits_from(last))
    mlp_in = whole.capture(ids, [Site("mlp_in", 1)]).activations[Site("mlp_in", 1)]
    assert torch.equal(spread.neurons_from(1, mlp_in, ids), whole.neurons_from(1, mlp_in, ids))


def test_accelerate_decides(folder: Path) -> None:
    subject = load_subject(str(folder), device="map:auto")
    assert subject.capture(torch.ones(1, 3).long(), [], logits=True).logits is not None


@pytest.mark.parametrize(
    ("device", "named"),
    [("map:best", "balanced"), ("map:auto.json", "JSON file"), ("cuda:7", "not available here")],
)
def test_unknown_places_are_named(folder: Path, device: str, named: str) -> None:
    with pytest.raises(UsageError, match=named) as error:
        load_subject(str(folder), device=device)
    assert "\n" not in str(error.value)


def test_maps_that_do_not_fit_are_refused_in_a_line(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    for changes in ({"model.layers.1": "cuda:5"}, {"model.layers.1": "moon"}):
        with pytest.raises(UsageError, match=next(iter(changes.values()))):
            placement(f"map:{write_map(path, **changes)}")
    for content in ('{"model.layers.0": "disk"}', '{"model.layers.0": 1.5}', "{}", "[1]", "no"):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(UsageError) as error:
            load_subject(str(folder), device=f"map:{path}")
        assert "\n" not in str(error.value)
