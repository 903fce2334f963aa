"""The first token never counts, so a text of one token has nothing to read or to change."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.subject.input_texts import tokenize_texts
from tests.support.tiny import WORDS, tiny_subject

ONE = WORDS[0]
TWO = f"{WORDS[0]} {WORDS[1]} {WORDS[2]}"
DIFFERENT = [f"{first} {second}" for first, second in zip(WORDS, WORDS[3:12], strict=False)]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("ablate", {"unit": "mlp.1.3", "texts": [TWO, ONE]}),
    ("patch", {"units": ["mlp.1.3"], "base": ONE, "source": TWO}),
    ("patch", {"units": ["mlp.1.3"], "base": TWO, "source": ONE}),
    ("steer", {"unit": "mlp.1.3", "text": ONE, "strengths": [1.0]}),
    ("probe", {"site": "mlp.1", "texts": [*DIFFERENT[:9], ONE], "labels": ["a", "b"] * 5,
               "groups": [str(n) for n in range(10)]}),
    ("attribute", {"text": ONE, "unit": "mlp.1.3", "method": "gradient"}),
    ("compare", {"unit": "mlp.1.3", "text": ONE, "other": TWO}),
    ("activations.on_text", {"units": ["mlp.1.3"], "texts": [TWO, ONE]}),
    ("upstream", {"unit": "mlp.1.3", "text": ONE}),
    ("coactivating", {"unit": "mlp.1.3", "texts": [TWO] * 40 + [ONE]}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_a_text_of_one_token_is_refused(name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=r"1 token; give 2 to .*never counts"):
        call(name, arguments, InstrumentContext(tiny_subject()))


@pytest.mark.parametrize(("name", "arguments"), CALLS)
def test_an_empty_text_is_refused(name: str, arguments: dict[str, Any]) -> None:
    def emptied(value: Any) -> Any:
        if isinstance(value, list):
            return [emptied(item) for item in value]
        return "" if value == ONE else value

    empty = {key: emptied(value) for key, value in arguments.items()}
    with pytest.raises(ArgumentError):
        call(name, empty, InstrumentContext(tiny_subject()))


def test_a_continuation_of_one_token_is_not_read_at_the_first() -> None:
    subject = tiny_subject()
    arguments = {"text": ONE, "units": ["mlp.1.3"], "new_tokens": 3}
    result: Any = call("generate", arguments, InstrumentContext(subject))
    assert len(result.activations["mlp.1.3"]) == 4
    assert tokenize_texts(subject, [ONE], at_least=1)[0].scored == range(1, 1)
