"""A readable notice in place where something is off, and the rest works."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from hubel.agent.circuits.config import CircuitConfig
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.store.database import Store
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.transcript import turns
from tests.agent.review.conftest import ReviewClient, serving
from tests.support.hostile_run import HOSTILE, NAME, TARGETS, make_hostile_run
from tests.support.processes import run_python

TARGET = "/api/runs/run/targets/mlp.0.0"


def row_of(client: ReviewClient, name: str) -> dict[str, object]:
    return next(row for row in client.get("/api/runs").json["runs"] if row["name"] == name)


def test_run_of_a_newer_version_has_a_notice_and_other_runs_are_shown(
    client: ReviewClient, folder: Path
) -> None:
    newer = folder.parent / "newer"
    shutil.copytree(folder, newer)
    config = (newer / "config.toml").read_text()
    (newer / "config.toml").write_text(config.replace("format = 1", "format = 99"))
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "config.toml").write_text("no = [toml")
    assert row_of(client, "newer")["state"] == "unreadable"
    assert "newer hubel" in str(row_of(client, "newer")["notice"])
    assert row_of(client, "broken")["state"] == "unreadable"
    assert row_of(client, "run")["state"] == "done"
    answer = client.get("/api/runs/newer/targets")
    assert answer.status == 409
    assert "upgrade" in answer.json["error"]
    assert client.get("/api/runs/newer").json["run"]["notice"]


def test_unfinished_circuit_is_interrupted_and_not_unreadable(
    client: ReviewClient, folder: Path
) -> None:
    CircuitConfig("ioi").save(folder.parent / "circuit-ioi")
    assert row_of(client, "circuit-ioi")["kind"] == "circuit"
    assert row_of(client, "circuit-ioi")["state"] == "interrupted"
    assert "hubel resume circuit-ioi" in str(row_of(client, "circuit-ioi")["notice"])
    assert client.get("/api/runs/circuit-ioi").status == 200
    assert client.get("/api/runs/circuit-ioi/targets").status == 404
    assert client.get("/api/runs/circuit-ioi/circuit").status == 404


def test_half_written_line_is_left_out(client: ReviewClient, folder: Path) -> None:
    of_the_run = client.get("/api/runs/run").json["notices"]
    with (folder / "events" / "0009-1.jsonl").open("wb") as segment:
        segment.write(b'{"data":{"explanation":"cut o')
    assert client.get("/api/runs/run").json["notices"] == of_the_run
    assert client.get(TARGET).status == 200
    with (folder / "events" / "0009-1.jsonl").open("ab") as segment:
        segment.write(b"\nnonsense\n")
    (notice,) = set(client.get("/api/runs/run").json["notices"]) - set(of_the_run)
    assert "0009-1.jsonl, line 1: not an event" in notice


def test_run_without_collected_activations(client: ReviewClient, folder: Path) -> None:
    shutil.rmtree(folder / "collected")
    page = client.get(TARGET).json
    assert page["exemplars"]["+"]
    assert page["histogram"] is None
    assert "not there" in page["notices"][0]
    assert client.get(f"{TARGET}/predicted").json["maps"] == []


def test_damaged_activations_have_a_notice(client: ReviewClient, folder: Path) -> None:
    (folder / "collected" / "select.safetensors").write_bytes(b"nonsense")
    page = client.get(TARGET)
    assert page.status == 200
    assert "damaged" in page.json["notices"][0]
    assert client.get(f"{TARGET}/predicted").status == 409


def test_damaged_store_is_filled_again(client: ReviewClient, folder: Path) -> None:
    before = client.get("/api/runs/run/targets").json
    path = Store(folder).path
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    path.write_bytes(b"this is no database" * 1000)
    assert client.get("/api/runs/run/targets").json == before
    with sqlite3.connect(path) as db:
        assert db.execute("select count(*) from targets").fetchone()[0] == before["total"]


def test_large_transcript_is_read_in_pieces(client: ReviewClient, folder: Path) -> None:
    log = RunLog(folder)
    for number in range(40):
        answer = {"text": f"turn {number} " + "x" * 1_000_000, "calls": [], "stop": "end"}
        row = {
            "request": {"system_and_tools": "p", "new": []},
            "answer": answer,
            "prompt": "p",
            "model": "m",
        }
        row |= {"input_tokens": 1, "output_tokens": 1, "cache_read": 0, "usd": None, "seconds": 1.0}
        log.write("llm_call", row, target="mlp.0.0", id=f"k{number}")
    log.close()
    while row_of(client, "run")["notice"] is not None:  # another process reads it
        time.sleep(0.1)
    page = client.get(f"{TARGET}/transcript?offset=38&limit=1")
    assert page.json["total"] == 40
    assert len(page.body) < 1_100_000
    assert page.json["turns"][0]["text"].startswith("turn 38")
    assert page.json["turns"][0]["n"] == 38
    assert len(client.get(TARGET).body) < 200_000


def test_results_of_calls_with_the_same_id_are_told_apart() -> None:
    def row(new: list[dict[str, object]], defines: str) -> dict[str, object]:
        answer = {
            "text": "",
            "calls": [{"id": "call_0", "name": "experiment", "arguments": {}}],
            "stop": "tools",
        }
        return {
            "request": {"new": new},
            "answer": answer,
            "prompt": "experimenter@1",
            "defines": defines,
        }

    def answered(text: str) -> list[dict[str, object]]:
        return [{"results": [{"id": "call_0", "text": text, "error": False}]}]

    rows = [row([], ""), row(answered("[e1] for"), "e1"), row(answered("[e2] against"), "e2")]
    listed = turns(rows[:2], rows[2:])
    assert [turn["calls"][0]["result"] for turn in listed] == ["[e1] for", "[e2] against"]
    assert [turn["evidence"] for turn in listed] == [["e1"], ["e2"]]


def test_hostile_run_is_only_data(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "<b>run"
    make_hostile_run(folder, 6)
    with serving(RunCatalog(folder.parent)) as client:
        base = "/api/runs/%3Cb%3Erun"
        assert client.get(base).json["run"]["explainer"] == f"openai:{HOSTILE[0]}"
        rows = client.get(f"{base}/targets").json["rows"]
        assert [row["target"] for row in rows][:3] == list(TARGETS)
        for row in rows:
            path = f"{base}/targets/{quoted(row['target'])}"
            for end in ("", "/predicted", "/transcript"):
                answer = client.get(path + end)
                assert answer.status == 200, (path, answer)
                assert answer.headers["content-type"] == "application/json"
                assert answer.body.isascii()
        reviews = client.get(f"{base}/targets/{quoted(TARGETS[0])}").json["reviews"]
        assert {review["text"] for review in reviews} == set(HOSTILE)
        assert all(review["name"].startswith(NAME) for review in reviews)
        for word in HOSTILE:
            assert client.get(f"{base}/search?q={quoted(word)}").status == 200


def quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


@pytest.mark.slow
def test_the_page_never_loads_torch(folder: Path) -> None:
    """Every address of a finished run, in a separate process."""
    script = f"""
import json, sys
from pathlib import Path
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.serve import listen
from tests.agent.review.conftest import serving
with serving(RunCatalog(Path({str(folder.parent)!r}))) as client:
    for path in ("/", "/api/runs", "/api/runs/run", "/api/runs/run/targets", "{TARGET}", "{TARGET}/predicted",
                 "{TARGET}/transcript", "/api/compare?a=run&b=run", "/api/instruments", "/api/openapi.json"):
        assert client.get(path).status == 200, path
    client.post("{TARGET}/reviews", {{"verdict": "edit", "name": "Ada", "predicate": 'strongly words("monday")'}})
print(json.dumps([name for name in ("torch", "transformers") if name in sys.modules]))
"""
    done = run_python(script)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "query", ["sort=nonsense", "dir=up", "offset=-1", "limit=x", "r_min=nan", "p_max=", "layer=a,b"]
)
def test_invalid_query_is_refused_or_ignored(client: ReviewClient, query: str) -> None:
    answer = client.get(f"/api/runs/run/targets?{query}")
    assert answer.status in (200, 400)
    if answer.status == 400:
        assert query.split("=")[0] in answer.json["error"]
