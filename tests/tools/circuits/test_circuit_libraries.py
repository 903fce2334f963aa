"""Circuits and graphs that EAP-IG and circuit-tracer wrote are read right, and theirs read ours.

`library_circuits.json` keeps what their own code wrote (EAP-IG at commit 795f560, circuit-tracer
0.5.0), so that the suite needs neither; `python -m tests.tools.circuits.test_circuit_libraries` writes
it where they can be imported. There, their loaders read our files as well. EAP-IG is in no registry:
put its `src` on PYTHONPATH.
"""

from __future__ import annotations

import io
import json
import math
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from hubel.tools.circuits.exchange import eap_ig, graph_json
from hubel.tools.circuits.exchange.circuit_file import parse_circuit
from hubel.tools.circuits.exchange.foreign_circuit import FittedCircuit, ForeignCircuit, fit
from hubel.tools.circuits.exchange.graph_json import AttributionGraph
from hubel.tools.circuits.exchange.graph_schema import schema_fault
from hubel.tools.circuits.graph import Edge, Graph, Node
from hubel.tools.errors import UsageError

VECTORS = Path(__file__).with_name("library_circuits.json")
SHAPE = {"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": False, "d_model": 8}
OURS = Graph(2, 2, 2)
pytestmark = pytest.mark.filterwarnings("ignore")


def kept(name: str) -> Any:
    return json.loads(VECTORS.read_text("utf-8"))[name]


def tensor_file(**changes: Any) -> bytes:
    """EAP-IG's `.pt` of the kept circuit."""
    stored = dict(kept("eap-ig tensors"))
    for key in ("edges_scores", "edges_in_graph", "nodes_in_graph"):
        stored[key] = torch.tensor(stored[key])
    content = io.BytesIO()
    torch.save(stored | changes, content)
    return content.getvalue()


def circuit_of(content: bytes) -> FittedCircuit:
    circuit = parse_circuit(content, "theirs")
    assert isinstance(circuit, ForeignCircuit)
    return fit(circuit, OURS, 8, "tiny")


# ----------------------------------------------------------------- EAP-IG


def test_its_json_and_its_tensors_are_the_same_circuit() -> None:
    told = kept("eap-ig json")
    by_name = circuit_of(json.dumps(told).encode())
    by_place = circuit_of(tensor_file())
    assert torch.equal(by_name.mask, by_place.mask)
    assert torch.equal(by_name.effects.nan_to_num(), by_place.effects.nan_to_num())
    assert len(told["edges"]) == OURS.n_edges
    for name, row in told["edges"].items():
        place = OURS.place_of(eap_ig.parse_edge(name))
        assert float(by_name.effects[place]) == -row["score"]
        assert bool(by_name.mask[place]) == row["in_graph"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"cfg": {"n_layers": 3, "n_heads": 2}}, "have no 'input->a2.h0<q>'"),
        ({"cfg": {"n_layers": 1 << 20, "n_heads": 32}}, "too many"),
        ({"edges_scores": torch.zeros(2, 2)}, r"edges_scores is \(2, 2\), where plain numbers"),
        ({"edges_scores": torch.zeros(7, 15).to_sparse()}, "where plain numbers"),
        ({"edges_scores": torch.full((7, 15), math.inf)}, "finite number"),
        ({"src_nodes": ["input"] * 7}, "src_nodes has a name twice"),
        ({"src_nodes": Path("a")}, "pickle may carry code"),
    ],
)
def test_a_damaged_tensor_file_is_one_line(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as raised:
        circuit_of(tensor_file(**changes))
    assert "\n" not in str(raised.value)


def test_an_edge_without_a_score_is_nan_in_its_file_and_none_here() -> None:
    content = eap_ig.write(unscored(), 8, {})
    row = content["edges"]["input->a0.h1<k>"]
    assert row["in_graph"] is True
    assert math.isnan(row["score"])
    back = circuit_of(json.dumps(content).encode())
    assert torch.equal(back.mask, unscored().mask)
    assert back.n_scored == 1


def unscored() -> FittedCircuit:
    """Two edges in the circuit, one of which has a score."""
    edges = [Edge.parse("input->head.0.1<k>"), Edge.parse("head.0.1->logits<logits>")]
    effects = torch.full(OURS.all_edges.shape, math.nan, dtype=torch.float64)
    effects[OURS.place_of(edges[1])] = -0.5
    return FittedCircuit(OURS, effects, OURS.mask_of(edges))


def test_eap_ig_loads_what_we_write(tmp_path: Path) -> None:
    module = eap_graph()
    told = kept("eap-ig json")
    ours = circuit_of(json.dumps(told).encode())
    (tmp_path / "c.json").write_text(json.dumps(eap_ig.write(ours, 8, {"task": "ioi"})))
    theirs = module.Graph.from_json(tmp_path / "c.json")
    for name, row in told["edges"].items():
        assert math.isclose(theirs.edges[name].score, row["score"], abs_tol=1e-6)
        assert bool(theirs.edges[name].in_graph) == row["in_graph"]
    (tmp_path / "c.json").write_text(json.dumps(eap_ig.write(unscored(), 8, {})))
    assert int(module.Graph.from_json(tmp_path / "c.json").in_graph.sum()) == 2


def eap_graph() -> Any:
    """EAP-IG's module of graphs, without its drawing, which needs more packages."""
    spec = find_spec("eap")
    if spec is None:
        pytest.skip("EAP-IG's source is not on PYTHONPATH; see docs/circuits.md")
    package = sys.modules.setdefault("eap", ModuleType("eap"))
    package.__path__ = list(spec.submodule_search_locations or ())
    drawing: Any = ModuleType("eap.visualization")
    drawing.get_color = drawing.generate_random_color = None
    sys.modules.setdefault("eap.visualization", drawing)
    return import_module("eap.graph")


# ----------------------------------------------------------------- circuit-tracer


def test_its_graph_is_read_with_its_nodes_and_links() -> None:
    told = kept("circuit-tracer graph")
    assert schema_fault(told) is None
    graph = parse_circuit(json.dumps(told).encode(), "theirs")
    assert isinstance(graph, AttributionGraph)
    assert graph.kinds == {
        "cross layer transcoder": 4,
        "mlp reconstruction error": 4,
        "embedding": 2,
        "logit": 2,
    }
    assert len(graph.links) == len(told["links"]) > 20
    assert (graph.prompt, graph.model) == ("a b", "tiny-scan")
    assert graph.share_from_errors is not None
    assert 0.1 < graph.share_from_errors < 0.9
    assert graph_json.circuit_of(graph) is None


def test_circuit_tracers_models_accept_our_graph() -> None:
    pytest.importorskip("circuit_tracer", reason="circuit-tracer is not installed")
    models: Any = import_module("circuit_tracer.frontend.graph_models")
    metadata = {
        "slug": "a",
        "scan": "tiny",
        "prompt_tokens": ["a"],
        "prompt": "a",
        "transcoder_list": [],
    }
    labels = {Node("head", 0, 1): "mover: looks at END"}
    content = graph_json.write(unscored(), labels, metadata, {"task": "ioi"})
    model = models.Model(**content)
    assert [node.node_id for node in model.nodes] == ["input", "head.0.1", "logits"]
    assert [models.Link(**link).weight for link in model.links] == [0.0, 0.5]


# ----------------------------------------------------------------- what is kept


def made_by_eap_ig(folder: Path) -> dict[str, Any]:
    """A circuit of EAP-IG in both of its forms."""
    graph = eap_graph().Graph.from_model(SHAPE)
    for number, edge in enumerate(graph.edges.values()):
        edge.score, edge.in_graph = round(math.sin(number + 1), 3), number % 3 == 0
    for name, node in graph.nodes.items():
        if name != "logits":
            node.in_graph = True
    graph.to_json(folder / "c.json")
    graph.to_pt(folder / "c.pt")
    told = torch.load(folder / "c.pt", weights_only=True)
    tensors = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in told.items()}
    return {"eap-ig json": json.loads((folder / "c.json").read_text()), "eap-ig tensors": tensors}


def made_by_circuit_tracer(folder: Path) -> dict[str, Any]:
    """A graph of circuit-tracer: four latents in two layers, two tokens, two logits."""
    graphs: Any = import_module("circuit_tracer.graph")
    files: Any = import_module("circuit_tracer.utils.create_graph_files")
    target: Any = import_module("circuit_tracer.attribution.targets").LogitTarget
    features = torch.tensor([[0, 0, 3], [0, 1, 5], [1, 0, 2], [1, 1, 7]])
    n_nodes = 4 + 2 * 2 + 2 + 2  # latents, errors, tokens, logits
    places = torch.arange(n_nodes * n_nodes, dtype=torch.float32).reshape(n_nodes, n_nodes)
    weights = (places * 0.7).sin().mul(100).round().div(100)
    weights[4:-2] = 0  # nothing leads to errors and tokens
    weights[:4, :4] = weights[:4, :4].tril(-1)  # an earlier latent to a later one
    weights[:, -2:] = 0
    graph = graphs.Graph(
        "a b", torch.tensor([11, 12]), features, weights, config(), torch.arange(4),
        torch.tensor([0.5, 1.0, 1.5, 2.0]), [target(" c", 20), target(" d", 21)],
        torch.tensor([0.6, 0.2]), scan="tiny-scan",
    )  # fmt: skip
    files.AutoTokenizer = SimpleNamespace(
        from_pretrained=lambda _: SimpleNamespace(decode=lambda token: f"<{int(token)}>")
    )
    files.create_graph_files(graph, "tiny", str(folder), node_threshold=1.0, edge_threshold=1.0)
    return {"circuit-tracer graph": json.loads((folder / "tiny.json").read_text())}


def config() -> Any:
    return import_module("circuit_tracer.utils.tl_nnsight_mapping").UnifiedConfig(
        n_layers=2, d_model=8, d_head=4, n_heads=2, d_mlp=16, d_vocab=30, tokenizer_name="tiny",
        model_name="tiny", original_architecture="tiny",
    )  # fmt: skip


if __name__ == "__main__":
    everything = json.loads(VECTORS.read_text("utf-8")) if VECTORS.exists() else {}
    with tempfile.TemporaryDirectory() as made_in:
        for library, make in (("eap", made_by_eap_ig), ("circuit_tracer", made_by_circuit_tracer)):
            if find_spec(library):
                everything |= make(Path(made_in))
    VECTORS.write_text(json.dumps(everything) + "\n", encoding="utf-8")
