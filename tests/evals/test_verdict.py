from __future__ import annotations

from dataclasses import replace

import pytest

from hubel.evals.verdict import TargetResult, decide_verdicts

GOOD = TargetResult(
    "mlp.1.2",
    value=0.4,
    low=0.3,
    high=0.5,
    p=1e-6,
    over_trivial=0.2,
    trivial="frequency",
    active_documents=90,
)


def only(row: TargetResult) -> tuple[str | None, str]:
    (verdict,) = decide_verdicts([row])
    return verdict.verdict, verdict.reason


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        ({}, "kept", "better than frequency"),
        ({"low": 0.2}, "kept", "0.20"),
        ({"low": 0.199}, "inconclusive", "reaches below 0.2"),
        ({"p": 0.06}, "inconclusive", "no discovery"),
        ({"low": 0.05, "high": 0.199}, "rejected", "below 0.2"),
        ({"low": 0.05, "high": 0.2}, "inconclusive", "reaches below 0.2"),
        ({"over_trivial": 0.0}, "rejected", "not reliably better than frequency"),
        ({"active_documents": 9}, "inconclusive", "Only 9"),
        ({"active_documents": 9, "low": 0.0, "high": 0.1}, "inconclusive", "Only 9"),
        ({"active_documents": 10}, "kept", "p 1e-06"),
        ({"cannot_explain": True}, "inconclusive", "cannot explain"),
        ({"cannot_explain": True, "high": 0.1}, "inconclusive", "cannot explain"),
        (
            {"value": None, "low": None, "high": None, "p": None},
            "inconclusive",
            "no held-out score",
        ),
        ({"low": None, "high": None}, "inconclusive", "too small"),
        (
            {"status": "failed", "failure": "the answer was cut short"},
            None,
            "the answer was cut short",
        ),
        ({"status": "pending"}, None, "resume"),
    ],
)
def test_the_contracts_rule(change, expected, words):
    verdict, reason = only(replace(GOOD, **change))
    assert verdict == expected
    assert words in reason


def test_a_discovery_is_a_property_of_the_run():
    edge = replace(GOOD, p=0.004)
    assert only(edge)[0] == "kept"
    nothing = [replace(GOOD, target=f"mlp.3.{i}", p=0.9) for i in range(14)]
    assert decide_verdicts([edge, *nothing])[0].verdict == "inconclusive"
    failed = [TargetResult(f"mlp.3.{i}", status="failed", p=1e-9) for i in range(14)]
    assert decide_verdicts([edge, *failed])[0].verdict == "inconclusive"
    pending = [TargetResult(f"mlp.3.{i}", status="pending") for i in range(14)]
    assert decide_verdicts([edge, *pending])[0].verdict == "inconclusive"


def test_verdicts_keep_the_order_and_do_not_depend_on_it():
    rows = [replace(GOOD, target=f"mlp.1.{i}", p=p) for i, p in enumerate([0.2, 1e-5, 0.03, 0.011])]
    forward, backward = decide_verdicts(rows), decide_verdicts(rows[::-1])
    assert [v.target for v in forward] == [row.target for row in rows]
    assert forward == backward[::-1]


def test_an_empty_run_has_no_verdicts():
    assert decide_verdicts([]) == []
