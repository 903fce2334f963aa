"""`hubel circuit export` and `import`: what goes out comes back, and is measured as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import hubel
from hubel.agent.circuits.replay import replay_circuit
from hubel.agent.circuits.result import circuit_edges, read_result
from hubel.agent.cli.main import run_command_line
from hubel.agent.runlog.layout import PIECES
from hubel.tools.circuits.exchange.circuit_file import read_circuit_file
from hubel.tools.circuits.exchange.foreign_circuit import ForeignCircuit, fit
from hubel.tools.circuits.exchange.graph_schema import schema_fault
from hubel.tools.circuits.graph import Edge, Graph
from tests.support.induction import save_loadable, write_pairs
from tests.support.tiny import tiny_subject
from tests.tools.circuits.test_circuit_exchange import latents

SMALL = ["--discovery", "16", "--heldout", "16", "--nodes", "4", "--quiet"]
MEASURED = ("faithfulness", "random", "completeness", "panel", "model_score", "corrupted_score")
"""What depends on the circuit's edges and the prompts alone."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the hand-made subject, its task, and a finished circuit run."""
    folder = tmp_path_factory.mktemp("exchange")
    save_loadable(folder / "subject")
    write_pairs(folder / "pairs.jsonl")
    assert run(folder, "found") == 0
    return folder


def run(folder: Path, name: str, *more: str) -> int:
    argv = ["circuit", "run", *task(folder), *SMALL, "--share", ".2", "--name", name, *more]
    return run_command_line([*argv, "--runs", str(folder / "runs")])


def task(folder: Path) -> list[str]:
    return ["--task", str(folder / "pairs.jsonl"), "--subject", str(folder / "subject")]


def export(world: Path, to: str, path: Path, run: str = "found") -> dict[str, Any]:
    argv = ["circuit", "export", run, "--to", to, "--out", str(path), "--json"]
    assert run_command_line([*argv, "--runs", str(world / "runs")]) == 0
    return json.loads(path.read_text())


def import_(world: Path, path: Path, name: str, *more: str) -> int:
    argv = ["circuit", "import", str(path), "--name", name, *SMALL, *more]
    return run_command_line([*argv, "--runs", str(world / "runs")])


def graph_of(result: Any) -> Graph:
    names = ("n_layers", "n_heads", "n_kv_heads", "parallel")
    return Graph(**{name: result["graph"][name] for name in names})


def scores_in(result: Any) -> dict[str, float]:
    return {f"{row['source']}->{row['target']}": row["weight"] for row in result["edges"]}


@pytest.mark.parametrize("to", ["eap-ig", "graph"])
def test_what_is_exported_is_imported_and_measured_alike(
    world: Path, tmp_path: Path, to: str
) -> None:
    found: Any = read_result(world / "runs" / "found")
    content = export(world, to, tmp_path / "circuit.json")
    assert import_(world, tmp_path / "circuit.json", f"back-{to}", *task(world)) == 0
    back: Any = read_result(world / "runs" / f"back-{to}")
    assert circuit_edges(back) == circuit_edges(found)
    assert [row["id"] for row in back["nodes"]] == [row["id"] for row in found["nodes"]]
    assert {name: back[name] for name in MEASURED} == {name: found[name] for name in MEASURED}
    scores, other = scores_in(found), scores_in(back)
    if to == "eap-ig":
        assert other == scores
        assert back["curve"] == found["curve"]
        assert back["imported"]["scored_edges"] == found["graph"]["n_edges"]
    else:
        assert schema_fault(content) is None
        inside = circuit_edges(found)
        assert {name: other[name] for name in inside} == {name: scores[name] for name in inside}
        assert "scores of" in back["imported"]["missing"][1]
    assert back["stability"] is None
    assert "how stable" in back["imported"]["missing"][0]
    assert replay_circuit(world / "runs" / f"back-{to}").bitwise


def test_an_imported_circuit_is_exported_again_unchanged(world: Path, tmp_path: Path) -> None:
    first = export(world, "eap-ig", tmp_path / "first.json")
    assert import_(world, tmp_path / "first.json", "again", *task(world)) == 0
    second = export(world, "eap-ig", tmp_path / "second.json", run="again")
    assert (second["edges"], second["nodes"]) == (first["edges"], first["nodes"])


def test_what_a_format_cannot_hold_is_said(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["circuit", "export", "found", "--to", "graph", "--out", str(tmp_path / "g.json")]
    assert run_command_line([*argv, "--runs", str(world / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    for part in ("positions", "scores of", "exact effects", "predictions of roles", "curve of f"):
        assert any(line.startswith("  not in the file: ") and part in line for line in lines), part


def test_the_task_is_asked_for_in_one_line_and_no_run_is_left(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(world, "eap-ig", tmp_path / "circuit.json")
    assert import_(world, tmp_path / "circuit.json", "none") == 2
    line = capsys.readouterr().err.strip()
    assert "the file holds no prompts: add --task T" in line
    assert "\n" not in line
    assert not (world / "runs" / "none").exists()


def test_a_circuit_of_another_model_leaves_no_run(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(world, "eap-ig", tmp_path / "circuit.json")
    other = tiny_subject()
    other.model.save_pretrained(tmp_path / "other")
    other.tokenizer.save_pretrained(tmp_path / "other")
    options = ["--task", str(world / "pairs.jsonl"), "--subject", str(tmp_path / "other")]
    assert import_(world, tmp_path / "circuit.json", "none", *options) == 2
    assert "the file's circuit is of a model with 2 layers of 2 heads" in capsys.readouterr().err
    assert not (world / "runs" / "none").exists()


def test_a_file_that_only_ranks_edges_is_cut_at_the_share(world: Path, tmp_path: Path) -> None:
    path = tmp_path / "ranking.json"
    content = export(world, "eap-ig", path)
    for row in content["edges"].values():
        row["in_graph"] = False
    path.write_text(json.dumps(content))
    assert import_(world, path, "ranking", *task(world), "--share", ".2") == 0
    result: Any = read_result(world / "runs" / "ranking")
    assert result["chosen_edges"] == round(0.2 * result["graph"]["n_edges"])
    assert result["imported"]["chosen_by"] == "the 0.2 with the largest scores"


def test_a_changed_copy_of_the_file_is_found_out(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(world, "graph", tmp_path / "circuit.json")
    assert import_(world, tmp_path / "circuit.json", "changed", *task(world)) == 0
    with (world / "runs" / "changed" / "imported.json").open("a") as file:
        file.write("\n")
    argv = ["replay", "changed", "--runs", str(world / "runs"), "--quiet"]
    assert run_command_line(argv) != 0
    assert "imported.json was changed after it was written" in capsys.readouterr().err


def test_a_graph_of_latents_is_shown_and_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "latents.json"
    path.write_text(json.dumps(latents()))
    assert run_command_line(["circuit", "import", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "2 cross layer transcoder" in shown
    assert "12.5% of the absolute weight" in shown
    assert "read and not measured" in shown
    assert run_command_line(["circuit", "import", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["share_from_errors"] == 0.125


@pytest.mark.parametrize("to", ["eap-ig", "graph"])
def test_the_example_is_exported_without_its_log(
    tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Grouped-query attention: three query heads share a key-value head."""
    shutil.copytree(Path(hubel.__file__).parent / "runs" / "example-circuit", tmp_path / "ioi")
    path = tmp_path / "ioi.json"
    argv = ["circuit", "export", "ioi", "--to", to, "--out", str(path), "--runs", str(tmp_path)]
    assert run_command_line(argv) == 0
    shown = capsys.readouterr().out
    assert "arrays/ is not in its folder" in shown
    assert ("counted by query head" in shown) == (to == "eap-ig")
    result: Any = read_result(tmp_path / "ioi")
    circuit = read_circuit_file(path)
    assert isinstance(circuit, ForeignCircuit)
    assert (circuit.task, circuit.subject) == ("ioi", "smollm2-135m")
    graph = graph_of(result)
    fitted = fit(circuit, graph, 576, "smollm2-135m")
    names = circuit_edges(result)
    assert torch.equal(fitted.mask, graph.mask_of(map(Edge.parse, names)))
    listed = scores_in(result)
    kept = listed.keys() & names if to == "graph" else listed
    effects = {str(edge): value for edge, value in _effects(fitted)}
    assert effects == {name: listed[name] for name in kept}  # an older run: not all are listed


def _effects(fitted: Any) -> list[tuple[Edge, float]]:
    known = ~fitted.effects.isnan()
    values = fitted.effects[known & fitted.graph.all_edges].tolist()
    return list(zip(fitted.graph.edges_of(known), values, strict=True))


def test_options_of_an_engine_are_checked_before_a_run_is_made(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export(world, "eap-ig", tmp_path / "circuit.json")
    assert run(world, "refused", "--workers", "2") == 2
    assert import_(world, tmp_path / "circuit.json", "refused", "--address", "auto") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1] for line in lines] == [
        f" {option} is of --engine ray" for option in ("--workers", "--address")
    ]
    assert not (world / "runs" / "refused").exists()


@pytest.mark.slow
def test_a_circuit_run_on_ray_prints_and_keeps_the_same(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(
        "ray", reason="the engine of several machines is Ray: pip install 'hubel[ray]'"
    )
    assert run(world, "on-ray", "--engine", "ray", "--workers", "1", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == read_result(world / "runs" / "found")
    assert not (world / "runs" / "on-ray" / PIECES).exists()
