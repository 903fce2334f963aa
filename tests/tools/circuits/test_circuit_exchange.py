"""Circuits in other programs' files: names by a naive loop, exact scores both ways, and bad files."""

from __future__ import annotations

import copy
import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from hubel.tools.circuits.exchange import eap_ig, graph_json
from hubel.tools.circuits.exchange.circuit_file import parse_circuit, read_circuit_file
from hubel.tools.circuits.exchange.foreign_circuit import (
    FittedCircuit,
    ForeignCircuit,
    fit,
    only_ranks,
    share_out,
)
from hubel.tools.circuits.exchange.graph_json import AttributionGraph
from hubel.tools.circuits.exchange.graph_schema import LINK, METADATA, NODE, WHOLE, schema_fault
from hubel.tools.circuits.graph import Edge, Graph, Node
from hubel.tools.errors import UsageError

GROUPED = [Graph(3, 4, 4), Graph(2, 6, 2), Graph(2, 7, 1), Graph(2, 4, 2, parallel=True)]


def scored(graph: Graph, seed: int = 0) -> FittedCircuit:
    """Random scores of all edges, and a random third of them inside."""
    generator = torch.Generator().manual_seed(seed)
    effects = torch.randn(graph.all_edges.shape, generator=generator, dtype=torch.float64)
    mask = graph.all_edges & (torch.rand(graph.all_edges.shape, generator=generator) < 0.3)
    return FittedCircuit(graph, effects.where(graph.all_edges, torch.nan), mask)


def through_json(content: dict[str, Any]) -> ForeignCircuit:
    circuit = parse_circuit(json.dumps(content).encode(), "file.json")
    assert isinstance(circuit, ForeignCircuit)
    return circuit


def same(one: FittedCircuit, other: FittedCircuit) -> bool:
    return torch.equal(one.mask, other.mask) and torch.equal(
        one.effects.nan_to_num(nan=1e9), other.effects.nan_to_num(nan=1e9)
    )


def naive_names(n_layers: int, n_heads: int, *, parallel: bool) -> set[str]:
    """All edges of such a model, as EAP-IG's own loop makes them: written from its description."""
    stream, names = ["input"], set[str]()
    for layer in range(n_layers):
        heads = [f"a{layer}.h{head}" for head in range(n_heads)]
        names |= {f"{source}->{h}<{x}>" for source, h, x in product(stream, heads, "qkv")}
        before_mlp = stream if parallel else stream + heads
        names |= {f"{source}->m{layer}" for source in before_mlp}
        stream = [*stream, *heads, f"m{layer}"]
    return names | {f"{source}->logits" for source in stream}


@pytest.mark.parametrize("graph", GROUPED)
def test_eap_ig_names_are_those_of_its_own_loop(graph: Graph) -> None:
    content = eap_ig.write(scored(graph), 48, {})
    naive = naive_names(graph.n_layers, graph.n_heads, parallel=graph.parallel)
    assert set(content["edges"]) == naive
    assert content["cfg"] == {
        "n_layers": graph.n_layers,
        "n_heads": graph.n_heads,
        "parallel_attn_mlp": graph.parallel,
        "d_model": 48,
    }


def test_gpt2_has_the_nodes_and_edges_of_the_published_file() -> None:
    content = eap_ig.write(scored(Graph(12, 12, 12)), 768, {})
    assert (len(content["nodes"]), len(content["edges"])) == (158, 32_491)


@pytest.mark.parametrize("graph", GROUPED)
@pytest.mark.parametrize("seed", range(3))
def test_eap_ig_gives_back_the_same_edges_and_scores(graph: Graph, seed: int) -> None:
    circuit = scored(graph, seed)
    back = fit(through_json(eap_ig.write(circuit, 48, {})), graph, 48, "tiny")
    assert same(circuit, back)


def test_scores_of_a_group_add_up_to_the_very_number() -> None:
    generator = torch.Generator().manual_seed(1)
    for n, value in product(range(1, 17), torch.randn(50, generator=generator).double().tolist()):
        assert math.fsum(part for part in share_out(value, n) if part is not None) == value


def test_a_score_above_zero_works_for_the_answer() -> None:
    """Here an effect is the metric's change when the edge is patched; their score is its fall."""
    graph = Graph(1, 1, 1)
    edge = Edge.parse("head.0.0->logits<logits>")
    mask = graph.mask_of([edge])
    effects = torch.full(mask.shape, math.nan, dtype=torch.float64)
    effects[mask] = -2.0
    content = eap_ig.write(FittedCircuit(graph, effects, mask), 8, {})
    assert content["edges"] == {"a0.h0->logits": {"score": 2.0, "in_graph": True}}
    assert content["nodes"] == {
        "input": {"in_graph": False},
        "a0.h0": {"in_graph": True},
        "m0": {"in_graph": False},
        "logits": {"in_graph": True},
    }


@pytest.mark.parametrize("graph", GROUPED)
def test_a_graph_file_gives_back_the_circuit_and_is_valid(graph: Graph) -> None:
    circuit = scored(graph)
    content = graph_file(circuit)
    assert schema_fault(content) is None
    back = fit(through_json(content), graph, None, "tiny")
    inside = circuit.effects.where(circuit.mask, torch.nan)
    assert same(FittedCircuit(graph, inside, circuit.mask), back)
    assert {node["node_id"] for node in content["nodes"]} <= {
        str(node) for node in [*graph.sources, Node("logits")]
    }


def test_components_of_one_role_are_a_group_of_the_page() -> None:
    labels = {Node("head", 0, head): "mover: looks at END" for head in (1, 3)}
    content = graph_json.write(scored(Graph(1, 4, 4)), labels, METADATA_OF_FILE, {})
    assert content["qParams"]["supernodes"] == [["mover", "head.0.1", "head.0.3"]]
    row = next(node for node in content["nodes"] if node["node_id"] == "head.0.3")
    assert (row["clerp"], row["layer"], row["feature"]) == ("mover: looks at END", "0", 3)


METADATA_OF_FILE = {"slug": "a", "scan": "tiny", "prompt_tokens": ["a", " b"], "prompt": "a b"}


def graph_file(circuit: FittedCircuit) -> dict[str, Any]:
    return graph_json.write(circuit, {}, METADATA_OF_FILE, {"task": "t"})


# the schema


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *[("", name) for name in WHOLE.required],
        *[("metadata", name) for name in METADATA.required],
        *[("nodes", name) for name in NODE.required],
        *[("links", name) for name in LINK.required],
    ],
)
def test_every_required_property_is_required(part: str, name: str) -> None:
    content = latents()
    assert schema_fault(content) is None
    row = content[part] if part else content
    del (row[1] if isinstance(row, list) else row)[name]
    assert name in str(schema_fault(content))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "scan"), 3),
        (("metadata", "prompt_tokens"), ["a", 1]),
        (("metadata", "node_threshold"), "0.8"),
        (("metadata", "info"), {"generator": {"name": 1}}),
        (("metadata", "feature_details"), {"neuronpedia_source_set": 1}),
        (("metadata", "generation_settings"), {"batch_size": 1.5}),
        (("qParams", "pinnedIds"), [1]),
        (("nodes", 0, "feature"), 1.5),
        (("nodes", 0, "layer"), 1.5),
        (("nodes", 0, "ctx_idx"), "0"),
        (("nodes", 0, "influence"), "high"),
        (("links", 0, "weight"), None),
        (("links", 0, "weight"), True),
    ],
)
def test_a_property_of_another_type_is_refused(path: tuple[Any, ...], value: Any) -> None:
    content = latents()
    place: Any = content
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert schema_fault(content)


def test_the_validator_agrees_with_a_library_on_the_published_schema() -> None:
    """jsonschema comes with an optional package; the fixed cases above need nothing."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    types = {
        "text": {"type": "string"},
        "number": {"type": "number"},
        "whole number": {"type": "integer"},
        "object": {"type": "object"},
        "list": {"type": "array"},
        "texts": {"type": "array", "items": {"type": "string"}},
        "whole number or null": {"type": ["integer", "null"]},
        "number or null": {"type": ["number", "null"]},
        "text or whole number": {"type": ["string", "integer"]},
    }

    def schema(part: Any) -> dict[str, Any]:
        properties = {name: types[kind] for name, kind in part.types.items()}
        return {"type": "object", "required": list(part.required), "properties": properties}

    values = [None, True, 1, 1.0, 1.5, "a", [], ["a"], [1], {}]
    for part, row in ((NODE, latents()["nodes"][0]), (LINK, latents()["links"][0])):
        validator = jsonschema.Draft7Validator(schema(part))
        for name, value in product(part.types, values):
            content = latents()
            rows = content["nodes" if part is NODE else "links"]
            rows[0] = row | {name: value}
            assert (schema_fault(content) is None) == validator.is_valid(rows[0]), (name, value)


# graphs of latents


def latents() -> dict[str, Any]:
    """A graph as circuit-tracer writes it: two tokens, two latents, an error, a logit."""

    def node(
        id: str, kind: str, layer: str, feature: int, position: int, js: str
    ) -> dict[str, Any]:
        return {
            "node_id": id,
            "feature": feature,
            "layer": layer,
            "ctx_idx": position,
            "feature_type": kind,
            "token_prob": 0.0,
            "is_target_logit": kind == "logit",
            "run_idx": 0,
            "reverse_ctx_idx": 0,
            "jsNodeId": js,
            "clerp": "",
            "influence": 0.5,
            "activation": None,
        }

    nodes = [
        node("E_5_0", "embedding", "E", 0, 0, "E_5-0"),
        node("E_7_1", "embedding", "E", 1, 1, "E_7-1"),
        node("0_3_1", "cross layer transcoder", "0", 6, 1, "0_3-0"),
        node("1_4_1", "cross layer transcoder", "1", 19, 1, "1_4-0"),
        node("0_1_1", "mlp reconstruction error", "1", -1, 1, "1_1-0"),
        node("3_9_1", "logit", "3", 9, 1, "L_9-1"),
    ]
    links = [
        {"source": "E_7_1", "target": "0_3_1", "weight": 2.0},
        {"source": "0_3_1", "target": "1_4_1", "weight": -1.0},
        {"source": "0_1_1", "target": "3_9_1", "weight": 1.0},
        {"source": "1_4_1", "target": "3_9_1", "weight": 4.0},
    ]
    metadata = {
        "slug": "s",
        "scan": "gemma-2-2b",
        "transcoder_list": [],
        "prompt_tokens": ["a", " b"],
        "prompt": "a b",
        "node_threshold": 0.8,
        "schema_version": 1,
    }
    params = {"pinnedIds": [], "supernodes": [], "linkType": "both", "clickedId": "", "sg_pos": ""}
    return {"metadata": metadata, "qParams": params, "nodes": nodes, "links": links}


def test_a_graph_of_latents_is_read_whole_and_is_no_circuit() -> None:
    content = latents()
    graph = parse_circuit(json.dumps(content).encode(), "g.json")
    assert isinstance(graph, AttributionGraph)
    assert graph.raw == content
    assert graph.kinds["cross layer transcoder"] == 2
    assert graph.share_from_errors == 1 / 8
    assert not graph.notes


def test_an_error_with_the_id_of_a_latent_of_layer_zero_is_noted() -> None:
    content = latents()
    twin = copy.deepcopy(content["nodes"][4])
    content["nodes"].append(twin | {"node_id": "0_3_1"})
    graph = parse_circuit(json.dumps(content).encode(), "g.json")
    assert "1 node ids are used twice" in graph.notes[0]


# bad files


def damaged(graph: Graph, **changes: Any) -> bytes:
    return json.dumps(eap_ig.write(scored(graph), 48, {}) | changes).encode()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", "not JSON, or cut off"),
        (b"\xff\xfe", "neither text in UTF-8 nor a .pt file"),
        (b"[1]", "not an object"),
        (b"{}", "hubel reads EAP-IG"),
        (b'{"cfg": {}, "nodes": {}, "nodes": {}, "edges": {}}', "is there twice"),
        (b'{"cfg": {}, "nodes": {}}', "without 'edges'"),
        (damaged(Graph(1, 1, 1), cfg={"n_layers": 0, "n_heads": 1}), "n_layers is 0"),
        (damaged(Graph(1, 1, 1), edges={}), "no edges"),
        (damaged(Graph(1, 1, 1), edges={"a0->m0": {"score": 1, "in_graph": True}}), "not a node"),
        (damaged(Graph(1, 1, 1), edges={"input->m0<q>": {"in_graph": True}}), "into heads"),
        (damaged(Graph(1, 1, 1), edges={"input->m0": {"score": 1}}), "in_graph"),
        (
            damaged(Graph(1, 1, 1), edges={"input->m0": {"score": math.inf, "in_graph": True}}),
            "finite number",
        ),
        (damaged(Graph(1, 1, 1), nodes={"h0": {"in_graph": True}}), "'h0' is not a node"),
        (b'{"metadata": {}, "nodes": [], "links": []}', "no 'qParams'"),
    ],
)
def test_a_damaged_file_is_one_line(content: bytes, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as raised:
        parse_circuit(content, "file.json")
    assert "file.json" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_link_to_nowhere_is_refused() -> None:
    content = latents()
    content["links"][0]["target"] = "0_999_1"
    with pytest.raises(UsageError, match="'0_999_1', which is not a node"):
        parse_circuit(json.dumps(content).encode(), "g.json")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path, fault in ((tmp_path / "none.json", "no file"), (tmp_path, "a folder")):
        with pytest.raises(UsageError, match=fault):
            read_circuit_file(path)


@pytest.mark.parametrize(
    ("graph", "d_model"), [(Graph(4, 4, 4), 48), (Graph(3, 2, 2), 48), (Graph(3, 4, 4), 96)]
)
def test_a_circuit_of_another_model_says_both_shapes(graph: Graph, d_model: int) -> None:
    circuit = through_json(eap_ig.write(scored(Graph(3, 4, 4)), 48, {}))
    with pytest.raises(UsageError, match="3 layers of 4 heads, width 48; tiny has"):
        fit(circuit, graph, d_model, "tiny")


def test_a_head_that_the_model_lacks_is_named() -> None:
    content = eap_ig.write(scored(Graph(1, 2, 2)), 48, {})
    content["edges"]["a0.h5->logits"] = {"score": 1.0, "in_graph": True}
    with pytest.raises(UsageError, match=r"head\.0\.5->logits<logits>'?: no such edge"):
        fit(through_json(content), Graph(1, 2, 2), 48, "tiny")


def test_a_file_of_marks_for_some_heads_of_a_group_says_what_becomes_of_it() -> None:
    graph = Graph(1, 2, 1)
    content = eap_ig.write(scored(graph), 48, {})
    content["edges"]["input->a0.h0<k>"]["in_graph"] = True
    content["edges"]["input->a0.h1<k>"]["in_graph"] = False
    fitted = fit(through_json(content), graph, 48, "tiny")
    assert fitted.mask[graph.mask_of([Edge.parse("input->head.0.0<k>")])].all()
    assert "2 of them share" in fitted.notes[0]
    assert "1 edges into a key-value head" in fitted.notes[1]


def test_node_scores_that_are_not_kept_are_noted_also_where_they_are_nan() -> None:
    content = eap_ig.write(scored(Graph(1, 1, 1)), 8, {})
    content["nodes"]["m0"] = {"in_graph": True, "score": math.nan, "neurons": [True] * 8}
    circuit = through_json(content)
    assert "scores of 1 nodes are not kept" in circuit.notes[0]
    assert "neurons of 1 nodes" in circuit.notes[1]


def test_a_file_that_marks_everything_only_ranks() -> None:
    content = eap_ig.write(scored(Graph(1, 2, 2)), 8, {})
    assert not only_ranks(through_json(content))
    for row in content["edges"].values():
        row["in_graph"] = True
    assert only_ranks(through_json(content))
