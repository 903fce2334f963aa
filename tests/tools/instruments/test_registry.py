"""The registry: schema from the signature, arguments that can be repaired, one name once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal, cast

import pytest
from pydantic import Field

from hubel.tools.errors import ArgumentError, UnavailableError, UsageError
from hubel.tools.instruments import (
    InstrumentContext,
    Result,
    call,
    get,
    instrument,
    instruments,
    registry,
    rounded,
)

KNOWN = {
    "ablate", "activations.exemplars", "activations.on_text", "activations.search", "activations.statistics",
    "attribute", "coactivating", "compare", "corpus.search", "generate", "logit_lens", "nearest", "patch", "probe",
    "steer", "tokens.describe", "units.matching", "upstream",
}  # fmt: skip


@dataclass(frozen=True)
class Echo(Result):
    said: tuple[str, ...]

    def render(self) -> str:
        return " ".join(self.said)


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    instruments()  # all real ones first, so that this one is forgotten and they are not
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))

    @instrument("echo", needs=())
    def say(
        context: InstrumentContext,
        word: str,
        times: Annotated[int, Field(ge=1, le=3)] = 1,
        mood: Literal["calm", "loud"] = "calm",
    ) -> Echo:
        """Says a word.

        More than once, if wanted.
        """
        if word == "missing":
            raise UsageError("'missing': no such word; say another")
        return Echo((word.upper() if mood == "loud" else word,) * times)


def test_every_instrument_is_registered_with_a_one_line_summary() -> None:
    assert set(instruments()) >= KNOWN
    for entry in instruments().values():
        assert entry.summary.endswith(".")
        assert len(entry.summary) <= 90
        schema = entry.schema()
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        json.dumps(schema)


def test_the_schema_comes_from_the_signature() -> None:
    schema = get("echo").schema()
    assert schema["required"] == ["word"]
    assert schema["properties"]["times"] == {
        "default": 1,
        "maximum": 3,
        "minimum": 1,
        "type": "integer",
    }
    assert schema["properties"]["mood"]["enum"] == ["calm", "loud"]
    assert get("echo").description == "Says a word.\n\nMore than once, if wanted."
    assert get("echo").usage() == "word, times=1, mood='calm'"


def test_a_call_gives_a_result_that_renders_and_is_json() -> None:
    result = call("echo", {"word": "ho", "times": 2, "mood": "loud"}, InstrumentContext())
    assert result.render() == "HO HO"
    assert result.to_json() == {"said": ["HO", "HO"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "word: Field required"),
        ({"word": "ho", "times": 9}, r"times: .*less than or equal to 3 \(given 9\)"),
        ({"word": "ho", "mood": "sad"}, "mood: .*'calm' or 'loud'"),
        ({"word": "ho", "tiems": 2}, "tiems: Extra inputs are not permitted"),
        ({"word": "missing"}, "no such word; say another"),
    ],
)
def test_wrong_arguments_come_back_with_how_to_repair_them(arguments: dict, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        call("echo", arguments, InstrumentContext())


def test_a_name_is_registered_once_and_an_unknown_one_lists_the_known() -> None:
    with pytest.raises(UsageError, match="'echo' is registered already"):
        instrument("echo", needs=())(lambda context: Echo(()))
    with pytest.raises(
        ArgumentError, match=r"'logitlens'; there are ablate, activations\.by_concept"
    ):
        call("logitlens", {}, InstrumentContext())


def test_a_bench_without_what_is_needed_says_so_and_a_lazy_subject_is_loaded_on_need() -> None:
    with pytest.raises(UnavailableError, match="--subject"):
        InstrumentContext().require_subject()
    with pytest.raises(UnavailableError, match="--index"):
        InstrumentContext().require_index()
    loaded = object()
    assert (
        cast(
            object,
            InstrumentContext(subject=lambda: cast("registry.Subject", loaded)).require_subject(),
        )
        is loaded
    )


def test_a_bench_leads_to_no_held_out_text() -> None:
    """Structurally: a context has a subject and an index, and the index's public surface has no way to holdout."""
    from hubel.tools.index import Index

    assert set(InstrumentContext.__dataclass_fields__) == {"subject", "index"}
    assert not [name for name in dir(Index) if "hold" in name.lower()]


def test_numbers_in_a_log_have_six_digits() -> None:
    assert rounded([1 / 3, 123456789.0, 0.0, -2e-9]) == [0.333333, 123457000.0, 0.0, -2e-9]
