"""A language model in the loop: it proposes, predicts, experiments, is challenged, and concludes; all of it replays."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.config import RunConfig
from hubel.agent.log import RunLog, canonical, read_events
from hubel.agent.replay import replay
from hubel.agent.run import RunResult, make_run, resolve, work_on
from hubel.agent.views import rows
from hubel.tools.subject.subject import Subject
from tests.agent.experimenter.minds import Scripted, diligent

Work = Callable[..., tuple[Path, RunResult]]
TARGETS = ["mlp.0.0", "mlp.1.5-"]


@pytest.fixture
def work(tmp_path: Path, tiny: Subject, tiny_index: Path) -> Work:
    """Make a run and take it to its end."""

    def do(mind: Scripted, targets: list[str] = TARGETS, **settings: object) -> tuple[Path, RunResult]:
        config = RunConfig(index=str(tiny_index), targets=targets, explainer="openai:test", **settings)  # type: ignore[arg-type]
        make_run(tmp_path / "run", resolve(config))
        return tmp_path / "run", work_on(tmp_path / "run", subject=tiny, model=mind)

    return do


def test_an_investigation_ends_in_a_verdict(work: Work) -> None:
    folder, result = work(Scripted(diligent))
    assert (result.done, result.failed, result.pending) == (2, 0, 0)
    for row in rows(folder):
        assert (row["explanation"], row["calls"]) == ('Fires on "the".', 5)
        assert row["verdict"] in ("kept", "rejected", "inconclusive")


def test_every_prediction_stands_in_the_log_before_its_outcome(work: Work) -> None:
    folder, _ = work(Scripted(diligent))
    order: dict[tuple[str | None, str | None], list[str]] = {}
    for event in read_events(folder):
        if event.event in ("prediction", "outcome"):
            order.setdefault((event.target, event.id), []).append(event.event)
    assert len(order) == 32
    assert set(map(tuple, order.values())) == {("prediction", "outcome")}


def test_it_replays_bit_for_bit_with_nobody_to_ask(work: Work) -> None:
    folder, _ = work(Scripted(diligent))
    found = replay(folder)
    assert found.mismatches == []
    assert found.bitwise


def test_another_journaled_reply_gives_another_result(work: Work) -> None:
    folder, _ = work(Scripted(diligent), targets=["mlp.0.0"])
    events = list(read_events(folder))
    for segment in (folder / "events").iterdir():
        segment.unlink()
    changed = [e._replace(data=_other_predicate(e.data)) if e.event == "llm_call" else e for e in events]
    lines = "".join(canonical(e._asdict()) + "\n" for e in changed)
    (folder / "events" / "0001-1.jsonl").write_text(lines, encoding="utf-8")
    found = replay(folder)
    assert not found.bitwise
    assert any("predicate" in line for line in found.mismatches)
    assert any("value" in line for line in found.mismatches)


def _other_predicate(data: dict[str, Any]) -> dict[str, Any]:
    copy = json.loads(json.dumps(data))
    for call in copy["answer"]["calls"]:
        for hypothesis in call["arguments"].get("hypotheses", ()):
            hypothesis["predicate"] = hypothesis["predicate"].replace('"the"', '"dog"')
    return copy


def test_no_address_layer_or_name_is_said_to_the_model(work: Work) -> None:
    mind = Scripted(diligent)
    work(mind)
    said = "\n".join(canonical(request.to_json()) for request in mind.requests)
    assert re.findall(r"\b(?:mlp|head|resid|attn)\.\d+[.\d]*", said) == []
    assert re.findall(r"layers?\W+\d", said, re.IGNORECASE) == []
    assert "tiny-llama" not in said


def test_findings_are_traced_to_their_evidence(work: Work) -> None:
    folder, _ = work(Scripted(diligent), targets=["mlp.0.0"])
    moves = RunLog(folder, writable=False).all("move", "mlp.0.0").values()
    claims = {c["text"]: c["evidence"] for move in moves for c in move["claims"]}
    assert claims["the"] == ["e1"]
    assert claims["123.456"] == []
