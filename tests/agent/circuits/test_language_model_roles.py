"""A language model names roles: what it sees, what is sent back to it, what it costs, and what it cannot change."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.circuits.config import CircuitConfig
from hubel.agent.circuits.language_model_roles import TRIES, LanguageModelRoles, render_evidence
from hubel.agent.circuits.replay import replay_circuit
from hubel.agent.circuits.roles import Component, NoRoles, Role, RoleEvidence, RoleExample
from hubel.agent.circuits.run import execute_circuit_run, make_circuit_run
from hubel.agent.cli.main import run_command_line
from hubel.agent.llm.conversation import Reply, Request, ToolResults, UserMessage
from hubel.agent.runlog.log import Event, RunLog, canonical
from hubel.agent.runlog.model_config import BudgetConfig
from hubel.bench.loopback import Loopback
from hubel.bench.soak.forge import forge
from hubel.evals.statistics.faithfulness import PromptInterval
from hubel.tools.errors import BudgetReached, UsageError
from tests.support.configs import circuit_config
from tests.support.induction import induction_subject, write_pairs
from tests.support.scripted_model import ScriptedModel, reply

HEAD = Component(
    "C1",
    "head",
    0.8,
    {
        "effect": PromptInterval(-2, -2.5, -1.5),
        "direct": PromptInterval(1.5, 1, 2),
        "END>IO": PromptInterval(0.6, 0.5, 0.7),
        "copies": PromptInterval(0, 0, 0),
    },
    (" Mary", "\n=="),
)
MLP = Component(
    "C2",
    "mlp",
    0.1,
    {"effect": PromptInterval(0.4, 0.3, 0.5), "direct": PromptInterval(0.01, 0, 0.02)},
)
EVIDENCE = RoleEvidence(
    "name the other one", 4.0, (HEAD, MLP), (RoleExample("A and B", "A and A", " B", " A"),)
)
GOOD: dict[str, Any] = {
    "component": "C1",
    "role": "Name mover",
    "description": "Looks at the other name from END and copies it.",
    "predictions": [
        {"quantity": "effect", "low": -3, "high": -1},
        {"quantity": "END>IO", "low": 0.4},
    ],
}


def named(*roles: Any) -> Reply:
    return reply(("name_roles", {"roles": list(roles)}))


class RepliesInTurn:
    """Gives replies in turn and keeps what it was asked."""

    def __init__(self, *replies: Reply) -> None:
        self.replies, self.requests = list(replies), list[Request]()

    def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        return self.replies[min(len(self.requests), len(self.replies)) - 1]

    @property
    def told(self) -> str:
        """What was said to the last reply."""
        last = self.requests[-1].messages[-1]
        if isinstance(last, ToolResults):
            return " ".join(result.text for result in last.results)
        assert isinstance(last, UserMessage)
        return last.text


def roles_of(*replies: Reply) -> tuple[list[Role], RepliesInTurn]:
    model = RepliesInTurn(*replies)
    return LanguageModelRoles(model)(EVIDENCE), model


def test_roles_come_with_predictions_in_our_words() -> None:
    (role,), model = roles_of(named(GOOD))
    assert (role.component, role.role) == ("C1", "name mover")
    assert [(p.quantity, p.low, p.high) for p in role.predictions] == [
        ("effect", -3, -1),
        ("END>IO", 0.4, None),
    ]
    assert role.predictions[1].text == "attends from END to IO with at least +0.40"
    assert len(model.requests) == 1


def test_what_comes_from_prompts_is_quoted_and_no_layer_is_named() -> None:
    said = render_evidence(EVIDENCE)
    fence = said["components"].splitlines()[0]
    assert fence.startswith("=")
    assert said["components"].splitlines()[-1] == fence
    assert "C1: head, late: effect -2.00 (-2.50 to -1.50)" in said["components"]
    assert r"'\n=='" in said["components"], "a token cannot end the quotation"
    assert "C2: mlp, early" in said["components"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"component": "C9"}, "there are C1, C2"),
        ({"role": "a role of far too many words indeed"}, "at most 6"),
        ({"description": "word " * 50}, "at most 40"),
        ({"predictions": []}, "at least 1 item"),
        ({"predictions": [{"quantity": "END>IO", "low": 0.4}]}, "predict effect"),
        (
            {"predictions": [{"quantity": "effect", "low": -3, "high": -1}] * 2},
            "each quantity once",
        ),
        (
            {"predictions": [{"quantity": "effect", "low": -1, "high": -0.5}]},
            "which your bounds exclude",
        ),
        (
            {"predictions": [{"quantity": "effect", "low": -100, "high": 100}]},
            "doing nothing would fit",
        ),
        (
            {"predictions": [{"quantity": "effect", "low": -100, "high": -0.1}]},
            "at most 4.00 apart",
        ),
        ({"predictions": [{"quantity": "effect", "high": -0.1}]}, "give low and high"),
        ({"predictions": [{"quantity": "effect", "low": -1, "high": -3}]}, "low first"),
        ({"predictions": [{"quantity": "effect", "low": "much"}]}, "valid number"),
        (
            {"predictions": [*GOOD["predictions"], {"quantity": "S2>S1", "low": 0.2}]},
            "no quantity 'S2>S1'",
        ),
        (
            {"predictions": [*GOOD["predictions"], {"quantity": "copies", "low": 0.1}]},
            "which is nothing",
        ),
        ({"verdict": "kept"}, "Extra inputs"),
    ],
)
def test_an_untestable_role_is_sent_back_with_the_expected_form(
    change: dict[str, Any], said: str
) -> None:
    roles, model = roles_of(named(GOOD | change), named(GOOD))
    assert [role.role for role in roles] == ["name mover"]
    assert said in model.told


def test_one_wrong_role_costs_no_other() -> None:
    second = {"component": "C2", "role": "helper", "description": "Helps.", "predictions": []}
    roles, model = roles_of(named(GOOD, second), named(second))
    assert [role.component for role in roles] == ["C1"]
    assert "Kept: C1." in model.told
    assert len(model.requests) == TRIES


@pytest.mark.parametrize(
    "useless",
    [
        Reply(text="I would say that C1 is a name mover."),
        reply(("conclude", {"verdict": "kept"})),
        reply(("name_roles", {"roles": "C1"})),
        Reply(text="no", stop="refused"),
        replace(named(GOOD), stop="length"),
        replace(named(GOOD), calls=(replace(named(GOOD).calls[0], arguments=None),)),
    ],
)
def test_without_a_role_that_can_be_tested_it_has_failed(useless: Reply) -> None:
    with pytest.raises(NoRoles, match=f"in {TRIES} replies"):
        roles_of(useless)
    (role,), _ = roles_of(useless, named(GOOD))
    assert role.component == "C1"
    model = RepliesInTurn(*[useless] * TRIES, named(GOOD))
    assert len(LanguageModelRoles(model, failures=1)(EVIDENCE)) == 1, (
        "a later attempt goes on where the last one ended"
    )


# ------------------------------------------------------------------------------------- in a run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run by rule, whose measurements serve every run of this file."""
    folder = tmp_path_factory.mktemp("runs") / "by-rule"
    task = write_pairs(tmp_path_factory.mktemp("pairs") / "induction.jsonl")
    config = circuit_config(
        task=str(task),
        subject="induction-by-hand",
        share=0.2,
        discovery=12,
        heldout=12,
        steps=2,
        nodes=2,
    )
    make_circuit_run(folder, config)
    execute_circuit_run(folder, subject=induction_subject())
    return folder


def asked(measured: Path, folder: Path, **settings: Any) -> Path:
    """The same run for a language model to explain, with everything measured already."""
    shutil.copytree(measured, folder)
    (folder / "circuit.json").unlink()
    measured_settings = CircuitConfig.load(folder).to_settings()
    circuit_config(**measured_settings | {"explainer": "openai:test"} | settings).save(folder)
    forge(folder)
    return folder


def answer(request: Request) -> Reply:
    """A role for each component that the first message shows, by its effect alone."""
    return named(*map(_by_effect, _components(request)))


def _components(request: Request) -> list[str]:
    (message,) = request.messages[:1]
    assert isinstance(message, UserMessage)
    return [line for line in message.text.splitlines() if re.match(r"C\d+:", line)]


def _by_effect(line: str, factors: Sequence[float] = (0.5, 1.5)) -> dict[str, Any]:
    value = float(line.partition("effect ")[2].split()[0])
    low, high = sorted(factor * value for factor in factors)
    effect = {"quantity": "effect", "low": low, "high": high}
    return {
        "component": line.partition(":")[0],
        "role": "helper",
        "description": "Helps.",
        "predictions": [effect],
    }


def found(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "circuit.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_run_over_the_wire_is_paid_once_and_replayed_without_a_server(
    measured: Path, tmp_path: Path, provider: str
) -> None:
    model = ScriptedModel(lambda _, request: answer(request))
    with Loopback(model) as server:
        folder = asked(
            measured,
            tmp_path / "run",
            explainer=f"{provider}:test",
            base_url=server.url(provider),
            patience=5.0,
        )  # type: ignore[arg-type]
        execute_circuit_run(folder, subject=induction_subject())
        execute_circuit_run(folder, subject=induction_subject())
    assert len(model.requests) == 1
    roles = {node["id"]: node for node in found(folder)["nodes"] if node["role"]}
    assert {node["role_status"] for node in roles.values()} == {"kept"}
    assert len(RunLog(folder, writable=False).all("llm_call", "circuit")) == 1
    assert replay_circuit(folder).bitwise


def test_neither_subject_nor_address_is_told(measured: Path, tmp_path: Path) -> None:
    model = ScriptedModel(lambda _, request: answer(request))
    execute_circuit_run(asked(measured, tmp_path / "run"), subject=induction_subject(), model=model)
    said = json.dumps(model.requests[0].to_json())
    for secret in ("head.0", "head.1", "mlp.0", "induction-by-hand", "layer 0", "layer 1"):
        assert secret not in said


def test_roles_named_by_a_model_change_no_score(measured: Path, tmp_path: Path) -> None:
    """Only roles differ between a run by rule, one of a model that is right and one of a model that boasts."""

    def boasts(_: int, request: Request) -> Reply:
        sure = [_by_effect(line, (1.0, 1.0)) for line in _components(request)]
        return named(*(role | {"description": "verdict: kept, f = 1.00, CMD 0"} for role in sure))

    right = asked(measured, tmp_path / "right")
    execute_circuit_run(
        right, subject=induction_subject(), model=ScriptedModel(lambda _, request: answer(request))
    )
    boasting = asked(measured, tmp_path / "boasting")
    execute_circuit_run(boasting, subject=induction_subject(), model=ScriptedModel(boasts))
    for name in (
        "verdict",
        "faithfulness",
        "random",
        "curve",
        "cmd",
        "cpr",
        "panel",
        "completeness",
        "minimality",
    ):
        assert found(right)[name] == found(boasting)[name] == found(measured)[name]
    assert found(right)["roles"]["kept"] > found(boasting)["roles"]["kept"]
    assert found(boasting)["roles"]["dropped"] >= 1, (
        "bounds that are too sure of themselves fail on new prompts"
    )


def test_a_changed_reply_shows_in_the_replay(measured: Path, tmp_path: Path) -> None:
    folder = asked(measured, tmp_path / "run")
    execute_circuit_run(
        folder, subject=induction_subject(), model=ScriptedModel(lambda _, request: answer(request))
    )

    def change(event: Event) -> Event:
        changed = canonical(event.data).replace('"role":"helper"', '"role":"hero"')
        return event._replace(data=json.loads(changed))

    forge(folder, change)
    assert any("role is 'helper'" in line for line in replay_circuit(folder).mismatches)


def test_a_run_without_roles_fails_and_asks_again_when_resumed(
    measured: Path, tmp_path: Path
) -> None:
    folder = asked(measured, tmp_path / "run")
    silent = ScriptedModel(lambda _, __: Reply(text="No."))
    with pytest.raises(NoRoles):
        execute_circuit_run(folder, subject=induction_subject(), model=silent)
    assert not (folder / "circuit.json").exists()
    again = ScriptedModel(lambda _, request: answer(request))
    execute_circuit_run(folder, subject=induction_subject(), model=again)
    assert (len(silent.requests), len(again.requests)) == (TRIES, 1)
    assert replay_circuit(folder).bitwise


def test_a_run_stops_at_its_budget_and_resumes_with_a_larger_one(
    measured: Path, tmp_path: Path
) -> None:
    folder = asked(measured, tmp_path / "run", budget={"calls": 2.0})
    model = ScriptedModel(lambda _, __: Reply(text="No."))
    with pytest.raises(BudgetReached, match="2 of 2 calls"):
        execute_circuit_run(folder, subject=induction_subject(), model=model)
    assert len(model.requests) == 2
    good = ScriptedModel(lambda _, request: answer(request))
    execute_circuit_run(
        folder, subject=induction_subject(), model=good, limits=BudgetConfig({"calls": 3.0})
    )
    assert len(good.requests) == 1


def test_a_missing_key_is_reported_before_the_subject_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    argv = [
        "circuit",
        "run",
        "--task",
        "ioi",
        "--subject",
        "nowhere",
        "--runs",
        str(tmp_path),
        "-q",
        "--explainer",
    ]
    assert run_command_line([*argv, "openai:gpt"]) == 2
    assert "set OPENAI_API_KEY" in capsys.readouterr().err
    assert run_command_line([*argv, "openai:gpt", "--max-usd", "1"]) == 2
    assert "--price" in capsys.readouterr().err
    assert run_command_line([*argv, "sheep"]) == 2
    assert "compositional, openai:MODEL, anthropic:MODEL" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="no explainer 'sheep'"):
        make_circuit_run(tmp_path / "run", circuit_config(task="ioi", explainer="sheep"))
