"""High-level programs: what they compute, under interventions too, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hubel.tools.abstraction.interchange import draw_interchanges
from hubel.tools.abstraction.program import CausalModel, CausalVariable
from hubel.tools.abstraction.question import read_question
from hubel.tools.errors import UsageError
from tests.support.tiny import tiny_subject

ADDITION: dict[str, Any] = {
    "inputs": {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3], "c": [0, 1, 2, 3]},
    "output": "total",
    "variables": [
        {"name": "sum", "op": "add", "of": ["a", "b"], "modulo": 4},
        {"name": "total", "op": "add", "of": ["sum", "c"], "modulo": 4},
    ],
}


def test_functions_and_json_say_the_same() -> None:
    numbers = {name: range(4) for name in "abc"}
    variables = [
        CausalVariable("sum", ("a", "b"), lambda a, b: (a + b) % 4),
        CausalVariable("total", ("sum", "c"), lambda s, c: (s + c) % 4),
    ]
    written, read = CausalModel(numbers, "total", variables), CausalModel.from_json(ADDITION)
    base, source = {"a": 1, "b": 2, "c": 3}, {"a": 3, "b": 3, "c": 0}
    assert written.run(base) == read.run(base) == {**base, "sum": 3, "total": 2}
    assert (
        written.interchange_output(base, source, "sum")
        == read.interchange_output(base, source, "sum")
        == (2 + 3) % 4
    )
    assert written.interchange_output(base, source, "total") == 2
    assert read.run(base, {"sum": 0})["total"] == 3


def test_hierarchical_equality() -> None:
    program = CausalModel.from_json(
        {
            "inputs": {name: ["x", "y"] for name in "abcd"},
            "output": "same",
            "variables": [
                {"name": "left", "op": "equal", "of": ["a", "b"]},
                {"name": "right", "op": "equal", "of": ["c", "d"]},
                {"name": "both", "op": "equal", "of": ["left", "right"]},
                {
                    "name": "same",
                    "op": "table",
                    "of": ["both"],
                    "table": {"True": "yes", "False": "no"},
                },
            ],
        }
    )
    assert program.run(dict(zip("abcd", "xxyy", strict=True)))["same"] == "yes"
    assert program.run(dict(zip("abcd", "xyyy", strict=True)))["same"] == "no"


GIVING = """
text = "the {first} the {second} the {said} the"
[inputs]
first = ["red", "blue"]
second = ["cat", "dog"]
giver = [0, 1]
[heldout]
second = ["river", "bank"]
[[variables]]
name = "said"
op = "pick"
of = ["giver", "first", "second"]
[[variables]]
name = "position"
op = "equal"
of = ["said", "first"]
[[variables]]
name = "receiver"
op = "pick"
of = ["position", "first", "second"]
[answers]
red = " red"
blue = " blue"
cat = " cat"
dog = " dog"
river = " river"
bank = " bank"
"""


def test_a_variable_may_stand_in_the_text(tmp_path: Path) -> None:
    """Whose name is said is worked out by the program, so that inputs stay free of each other."""
    (tmp_path / "giving.toml").write_text(GIVING)
    subject, question = tiny_subject(), read_question(tmp_path / "giving.toml")
    setting = {"first": "red", "second": "dog", "giver": 1}
    assert question.filled(setting)[0] == "the red the dog the dog the"
    assert question.program.run(setting)["receiver"] == "red"
    source = {"first": "blue", "second": "cat", "giver": 0}
    assert question.program.interchange_output(setting, source, "position") == "dog"
    assert [question.position(subject, at) for at in ("first", "said", "end")] == [1, 5, 6]
    behaviour, heldout = (
        question.behaviour(subject, each) for each in (question.program, question.heldout)
    )
    assert behaviour.answers == heldout.answers, (
        "answers of both, so that what was searched with one is judged with the other"
    )
    assert set(heldout.answers) == {"red", "blue", "cat", "dog", "river", "bank"}
    assert draw_interchanges(heldout, "position", 8).base.shape == (8, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"output": "nothing"}, "not a variable of the program"),
        ({"inputs": {"a": [0], "b": [0, 1], "c": [0, 1]}}, "at least two values"),
        ({"variables": [{"name": "total", "op": "add", "of": ["sum", "c"]}]}, "needs sum"),
        ({"variables": [{"name": "total", "op": "guess", "of": ["a"]}]}, "op 'guess'"),
        ({"variables": [{"name": "a", "op": "same", "of": ["b"]}]}, "defined twice"),
        ({"variables": [{"op": "same"}]}, "expected inputs"),
    ],
)
def test_an_invalid_program_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CausalModel.from_json({**ADDITION, **change})


def test_an_arbitrary_variable_has_the_same_values_shuffled_once() -> None:
    program = CausalModel.from_json(ADDITION)
    dealt = program.with_arbitrary("sum", seed=3)
    settings = [{"a": a, "b": b, "c": 0} for a in range(4) for b in range(4)]
    own, other = ([model.run(setting)["sum"] for setting in settings] for model in (program, dealt))
    assert Counter(own) == Counter(other)
    assert own != other
    assert other == [
        program.with_arbitrary("sum", seed=3).run(setting)["sum"] for setting in settings
    ]
    assert all(
        dealt.run(s)["total"] == dealt.run(s)["sum"] for s in settings
    )  # what follows from it is as it was
    assert program.values("total") == (0, 1, 2, 3)


def test_too_many_settings_are_refused() -> None:
    many = {name: range(50) for name in "abc"}
    program = CausalModel(
        many, "sum", [CausalVariable("sum", ("a", "b", "c"), lambda *values: sum(values))]
    )
    with pytest.raises(UsageError, match="125000 settings"):
        program.values("sum")
