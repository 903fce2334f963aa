"""The circuit agent on a model whose circuit is known, and what it does when it is killed, cannot, or is lied to."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import hubel
from hubel.agent.circuits.measurements import mask_digest
from hubel.agent.circuits.replay import replay_circuit
from hubel.agent.circuits.result import circuit_edges, read_result
from hubel.agent.circuits.run import execute_circuit_run, make_circuit_run
from hubel.agent.runlog.log import Event, read_events
from hubel.bench.soak.forge import forge
from hubel.tools.circuits.graph import Edge, Graph
from hubel.tools.errors import CorruptError, UsageError
from tests.support.configs import circuit_config
from tests.support.induction import induction_subject, write_pairs
from tests.support.processes import checkout_environment
from tests.support.tiny import tiny_subject

SETTINGS: dict[str, Any] = {
    "subject": "induction-by-hand",
    "discovery": 16,
    "heldout": 16,
    "steps": 3,
    "nodes": 4,
}
SCRIPT = """
import os, signal, sys
from pathlib import Path
from hubel.agent.circuits.journal import MeasurementJournal
from hubel.agent.circuits.run import execute_circuit_run
from tests.support.induction import induction_subject
left = int(sys.argv[2])
for name in ("measured", "array"):
    def mortal(self, request, measure, real=getattr(MeasurementJournal, name)):
        def once():
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return measure()
        return real(self, request, once)
    setattr(MeasurementJournal, name, mortal)
execute_circuit_run(Path(sys.argv[1]), subject=induction_subject())
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_pairs(tmp_path_factory.mktemp("pairs") / "induction.jsonl"))


@pytest.fixture(scope="module")
def finished(pairs: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "induction"
    make_circuit_run(folder, circuit_config(task=pairs, share=0.2, **SETTINGS))
    execute_circuit_run(folder, subject=induction_subject())
    return folder


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "circuit.json").read_text())


def test_the_known_circuit_is_found_and_faithful(finished: Path) -> None:
    circuit = result(finished)
    assert circuit["verdict"] == "kept"
    assert abs(1 - circuit["faithfulness"]["value"]) < 0.05
    assert circuit["random"]["value"] < 0.2
    strongest = [f"{edge['source']}->{edge['target']}" for edge in circuit["edges"][:6]]
    assert {"input->head.0.0<v>", "head.0.0->head.1.0<k>", "head.1.0->logits<logits>"} <= set(
        strongest
    )


def test_the_result_has_every_edge_of_the_circuit_that_was_run(finished: Path) -> None:
    circuit = read_result(finished)
    arguments = {k: v for k, v in circuit["graph"].items() if k != "n_edges"}
    graph = Graph(**arguments)
    mask = graph.mask_of(Edge.parse(name) for name in circuit_edges(circuit))
    assert int(mask.sum()) == circuit["chosen_edges"]
    requests = [
        event.data["request"] for event in read_events(finished) if event.event == "measurement"
    ]
    assert mask_digest(mask) in {r["mask"] for r in requests if r["what"] == "run"}


def test_the_example_has_every_edge_of_its_circuit() -> None:
    example = read_result(Path(hubel.__file__).parent / "runs" / "example-circuit")
    assert len(set(circuit_edges(example))) == example["chosen_edges"] == 1413


def test_a_result_that_keeps_some_edges_only_says_so(finished: Path) -> None:
    circuit: Any = read_result(finished)
    del circuit["circuit_edges"]
    assert len(circuit_edges(circuit)) == circuit["chosen_edges"]  # all rows were kept
    circuit["edges"] = circuit["edges"][:3]
    with pytest.raises(CorruptError, match="has 3 of the circuit's"):
        circuit_edges(circuit)


def test_opposing_edges_count_as_much_as_brings_f_nearest_to_one(finished: Path) -> None:
    balance = result(finished)["balance"]
    tried = {row["weight"]: max(1 - row["low"], row["high"] - 1) for row in balance["tried"]}
    assert next(iter(tried)) == 1
    assert tried[balance["weight"]] == min(tried.values())


def test_the_known_roles_are_named_and_kept(finished: Path) -> None:
    named = {node["id"]: node for node in result(finished)["nodes"] if node["role"]}
    assert {id: node["role"] for id, node in named.items()} == {
        "head.0.0": "previous-token head",
        "head.1.0": "mover of answer",
    }, "silent components get no role"
    assert {node["role_status"] for node in named.values()} == {"kept"}
    assert {node["placebo"] for node in named.values()} == {0.0}, (
        "neither's predictions hold of the other"
    )


def test_predictions_stand_in_the_log_before_the_holdout_is_opened(finished: Path) -> None:
    kinds = [event.event for event in read_events(finished)]
    opened = kinds.index("holdout_opened")
    assert "prediction" in kinds[:opened]
    assert "prediction" not in kinds[opened:]
    assert "outcome" not in kinds[:opened]
    assert kinds.count("holdout_opened") == 1


def test_the_drawing_and_the_report_are_self_contained(finished: Path) -> None:
    drawing, page = ((finished / name).read_text() for name in ("circuit.svg", "report.html"))
    assert drawing.startswith("<svg")
    assert "head.1.0" in drawing
    assert drawing in page
    for text in (drawing, page):
        assert "src=" not in text
        assert "href=" not in text
        assert "<script" not in text


def test_a_finished_run_measures_nothing_when_run_again(finished: Path) -> None:
    before = [event.event for event in read_events(finished)].count("measurement")
    execute_circuit_run(finished)  # no subject of that name could be loaded
    assert [event.event for event in read_events(finished)].count("measurement") == before


@pytest.mark.slow
def test_a_circuit_run_killed_twice_resumes_to_the_same_result(
    finished: Path, pairs: str, tmp_path: Path
) -> None:
    folder = tmp_path / "induction"
    make_circuit_run(folder, circuit_config(task=pairs, share=0.2, **SETTINGS))
    for measurements in (4, 30):
        assert _run_and_die(folder, measurements) == -signal.SIGKILL
    execute_circuit_run(folder, subject=induction_subject())
    assert result(folder) == result(finished)
    measured = Counter(
        event.id for event in read_events(folder) if event.event in ("measurement", "array")
    )
    assert set(measured.values()) == {1}, "nothing was measured twice"


def _run_and_die(folder: Path, measurements: int) -> int:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(measurements)]
    return subprocess.run(
        command, env=checkout_environment(), stderr=subprocess.PIPE, check=False
    ).returncode


def test_a_replay_needs_no_subject_and_finds_lies(finished: Path, tmp_path: Path) -> None:
    assert replay_circuit(finished).bitwise
    lied = _copy(finished, tmp_path / "lied")
    circuit = result(lied)
    circuit["faithfulness"]["value"] += 0.1
    (lied / "circuit.json").write_text(json.dumps(circuit))
    with pytest.raises(CorruptError, match="changed after it was written"):
        replay_circuit(lied)
    forge(lied)
    assert ["faithfulness value" in line for line in replay_circuit(lied).mismatches] == [True]
    cut = _copy(finished, tmp_path / "cut")

    def rename(event: Event) -> Event:
        is_cut = event.data.get("request", {}).get("what") == "nodes"
        return event._replace(id="gone") if is_cut else event

    forge(cut, rename)
    with pytest.raises(CorruptError, match="no measurement"):
        replay_circuit(cut)


def test_an_array_that_was_changed_is_found_out(finished: Path, tmp_path: Path) -> None:
    changed = _copy(finished, tmp_path / "changed")
    next((changed / "arrays").glob("*.npy")).write_bytes(b"other")
    with pytest.raises(CorruptError, match="not what the log says"):
        replay_circuit(changed)


def _copy(folder: Path, to: Path) -> Path:
    import shutil

    return Path(shutil.copytree(folder, to))


def test_a_task_that_the_subject_cannot_do_has_no_circuit(pairs: str, tmp_path: Path) -> None:
    folder = tmp_path / "cannot"
    make_circuit_run(folder, circuit_config(task=pairs, **SETTINGS))
    circuit = execute_circuit_run(folder, subject=tiny_subject())
    assert circuit["verdict"] == "cannot do"
    assert circuit["nodes"] == []
    assert circuit["faithfulness"] is None
    kinds = {event.event for event in read_events(folder)}
    assert "holdout_opened" not in kinds
    assert "cannot do" in (folder / "report.html").read_text()


def test_the_smallest_faithful_circuit_is_taken(pairs: str, tmp_path: Path) -> None:
    folder = tmp_path / "threshold"
    make_circuit_run(folder, circuit_config(task=pairs, faithfulness=0.9, **SETTINGS))
    execute_circuit_run(folder, subject=induction_subject())
    circuit = result(folder)
    assert circuit["faithfulness"]["value"] > 0.85
    assert circuit["chosen_edges"] <= 5


def test_another_method_and_swapped_edges_find_the_known_circuit_and_replay(
    pairs: str, tmp_path: Path
) -> None:
    folder = tmp_path / "swapped"
    config = circuit_config(
        task=pairs, share=0.2, method="eap-ig-edges", rounds=2, opposing=0.5, **SETTINGS
    )
    make_circuit_run(folder, config)
    execute_circuit_run(folder, subject=induction_subject())
    circuit = result(folder)
    assert (circuit["balance"]["weight"], circuit["balance"]["tried"]) == (0.5, []), "it was given"
    assert abs(1 - circuit["faithfulness"]["value"]) < 0.05
    inside = {
        f"{edge['source']}->{edge['target']}" for edge in circuit["edges"] if edge["in_circuit"]
    }
    assert {"input->head.0.0<v>", "head.0.0->head.1.0<k>", "head.1.0->logits<logits>"} <= inside
    arrays = [event.data["request"] for event in read_events(folder) if event.event == "array"]
    assert {request["what"] for request in arrays} == {"scores", "changes"}
    assert replay_circuit(folder).bitwise


def test_a_run_folder_keeps_its_configuration(finished: Path, pairs: str) -> None:
    make_circuit_run(finished, circuit_config(task=pairs, share=0.2, **SETTINGS))
    with pytest.raises(UsageError, match="something else"):
        make_circuit_run(finished, circuit_config(task=pairs, share=0.1, **SETTINGS))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"share": 0}, "share"),
        ({"heldout": 3}, "heldout"),
        ({"faithfulness": 2.0}, "faithfulness"),
        ({"opposing": -1}, "opposing"),
    ],
)
def test_settings_out_of_range_are_refused(pairs: str, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        circuit_config(task=pairs, **wrong)


def test_an_unknown_task_method_or_explainer_is_refused_before_anything_is_written(
    pairs: str, tmp_path: Path
) -> None:
    wrong = (circuit_config(task="iou"), circuit_config(task=pairs, explainer="oracle"))
    for config in (*wrong, circuit_config(task=pairs, method="guess")):
        with pytest.raises(UsageError, match=r"there are|known: "):
            make_circuit_run(tmp_path / "none", config)
    assert not (tmp_path / "none").exists()
