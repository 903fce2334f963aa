"""`hubel review --live`, and explaining again: on a tiny subject that is loaded from the disk by its name."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.views import target_rows
from hubel.bench.loopback import Loopback
from hubel.bench.loopback.demo_model import DemoModel
from hubel.tools.dissection import Lexicon
from hubel.tools.index import Index
from hubel.tools.subject import load_subject
from hubel.tools.subject.address import Unit
from tests.agent.review.conftest import ReviewClient, serving
from tests.support.configs import run_config
from tests.support.processes import checkout_environment

TARGET = "/api/runs/run/targets/mlp.0.0"


@pytest.fixture
def live(place: Path) -> Iterator[ReviewClient]:
    with serving(RunCatalog(place / "runs"), live=True) as client:
        yield client


def test_trying_a_text_gives_an_activation_for_each_token(live: ReviewClient, place: Path) -> None:
    assert live.get("/api/live").json["live"] is True
    answer = live.post(
        f"{TARGET}/try", {"text": "the cat said Monday", "other": "the cat said Friday"}
    )
    assert answer.status == 200, answer
    first, second = answer.json["maps"]
    subject = load_subject(str(place / "subject"))
    assert "".join(first["tokens"]) == "the cat said Monday"
    ids = subject.tokenize("the cat said Monday").ids
    assert len(first["values"]) == len(ids)
    assert len(answer.json["difference"]["values"]) == len(ids)
    assert (
        first["values"][:-1] == second["values"][:-1]
    )  # a causal model has not seen the difference yet
    row = live.get(TARGET).json["row"]
    assert (first["predicted"] is not None) == (row["predicate"] is not None)


def test_the_next_texts_find_subject_and_vocabulary_loaded(
    live: ReviewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {"text": "the cat said Monday", "other": "the cat said Friday"}
    rows = live.get("/api/runs/run/targets").json["rows"]
    explained = next(row["target"] for row in rows if row["predicate"])
    address = f"/api/runs/run/targets/{explained}/try"
    first = live.post(address, texts).json
    assert all(shown_map["predicted"] for shown_map in first["maps"])
    monkeypatch.setattr(Lexicon, "load", None)
    monkeypatch.setattr("hubel.tools.subject.load.load_subject", None)
    assert live.post(address, texts).json == first


def test_without_live_only_index_instruments_work(place: Path) -> None:
    with serving(RunCatalog(place / "runs")) as client:
        answer = client.post(f"{TARGET}/try", {"text": "the cat"})
        assert answer.status == 409
        assert "--live" in answer.json["error"]
        call = {"run": "run", "arguments": {"unit": "mlp.0.0"}}
        called = client.post("/api/instruments/activations.statistics", call).json
        assert called["result"]["max"] == pytest.approx(
            Index.open(place / "index").statistics(Unit.parse("mlp.0.0")).max, rel=1e-4
        )
        assert called["rendered"]
        assert client.post("/api/instruments/ablate", call).status in (400, 409)


def test_instruments_are_listed_with_their_schemas(live: ReviewClient) -> None:
    listed = {entry["name"]: entry for entry in live.get("/api/instruments").json["instruments"]}
    assert listed["activations.on_text"]["schema"]["properties"]["texts"]
    assert live.post("/api/instruments/nonsense", {"run": "run", "arguments": {}}).status == 400
    wrong = live.post(
        "/api/instruments/activations.on_text", {"run": "run", "arguments": {"split": "holdout"}}
    )
    assert wrong.status == 400


@pytest.mark.slow
@pytest.mark.parametrize("opened", [False, True])
def test_explaining_again_makes_a_new_run(place: Path, live: ReviewClient, opened: bool) -> None:
    with Loopback(DemoModel()) as model:
        folder = place / "runs" / f"asked-{opened}"
        config = run_config(
            index=str(place / "index"), targets=["mlp.0.0", "mlp.1.2"], explainer="openai:beginner",
            base_url=model.url("openai"), competitor=False,
        )  # fmt: skip
        make_run(folder, resolve(config))
        execute_run(folder, subject=load_subject(str(place / "subject")))
        target = f"/api/runs/{folder.name}/targets/mlp.0.0"
        if opened:
            live.post(f"{target}/open-holdout", {"name": "Ada"})
        answer = live.post(f"{target}/explain-again", {"note": "Look at weekdays.", "name": "Ada"})
        assert answer.status == 202, answer
        job = _wait(live, answer.json["job"])
        assert job["state"] == "done", job
    config = RunConfig.load(place / "runs" / job["run"])
    assert config.origin == {"run": folder.name, "target": "mlp.0.0", "by": "Ada"}
    assert config.targets == ["mlp.0.0"]
    log = RunLog(place / "runs" / job["run"], writable=False)
    first = next(iter(log.all("llm_call", "mlp.0.0").values()))
    assert any(
        "Look at weekdays." in message.get("text", "") for message in first["request"]["new"]
    )
    scored = {data["split"] for data in log.all("score", "mlp.0.0").values()}
    assert scored <= ({"select"} if opened else {"select", "holdout"})
    if opened:
        assert log.get("evidence", "mlp.0.0") is None
        (row,) = live.get(f"/api/runs/{job['run']}/targets").json["rows"]
        assert row["verdict"] == "inconclusive"


@pytest.mark.slow
def test_explaining_again_without_notes_needs_other_text(place: Path, live: ReviewClient) -> None:
    answer = live.post(f"{TARGET}/explain-again", {"note": "Look at weekdays.", "name": "Ada"})
    assert answer.status == 400
    assert "reads no notes" in answer.json["error"]
    answer = live.post(f"{TARGET}/explain-again", {"name": "Ada", "seed": 7, "max_contexts": 40})
    job = _wait(live, answer.json["job"])
    assert job["state"] == "done", job
    config = RunConfig.load(place / "runs" / job["run"])
    assert (config.seed, config.max_contexts, config.targets) == (7, 40, ["mlp.0.0"])
    (row,) = target_rows(place / "runs" / job["run"])
    assert row["status"] == "done"


@pytest.mark.slow
def test_page_and_run_of_32_investigations_do_not_disturb_each_other(
    place: Path, live: ReviewClient
) -> None:
    """A run in a separate process, the page asked all the while."""
    folder = place / "runs" / "busy"
    command = [
        sys.executable,
        "-m",
        "hubel",
        "run",
        "--runs",
        str(folder.parent),
        "--index",
        str(place / "index"),
    ]
    command += [
        "--targets",
        "mlp.0.0-15,mlp.1.0-15",
        "--name",
        "busy",
        "--concurrency",
        "32",
        "--quiet",
        "--json",
    ]
    states = set()
    null, environment = subprocess.DEVNULL, checkout_environment()
    with subprocess.Popen(command, env=environment, stdout=null, stderr=null) as process:
        while process.poll() is None:
            for path in (
                "",
                "/targets?sort=r&dir=desc",
                "/targets/mlp.0.0",
                "/targets/mlp.0.0/transcript",
                "/search?q=the",
            ):
                answer = live.get(f"/api/runs/busy{path}")
                assert answer.status in (200, 404, 409), answer  # 404 before the folder is there
                states |= (
                    {answer.json["run"]["state"]} if answer.status == 200 and not path else set()
                )
            time.sleep(0.05)
    assert process.returncode == 0
    assert "running" in states
    listed = {row["target"]: row for row in live.get("/api/runs/busy/targets").json["rows"]}
    for row in target_rows(folder):
        assert (listed[row["target"]]["verdict"], listed[row["target"]]["p"]) == (
            row["verdict"],
            row["p"],
        )
    assert live.get("/api/runs/busy").json["run"]["state"] == "done"


def _wait(client: ReviewClient, job: str) -> dict[str, Any]:
    for _ in range(1200):
        state = client.get(f"/api/jobs/{job}").json
        if state["state"] != "running":
            return state
        time.sleep(0.1)
    raise AssertionError(f"{job} did not end")
