"""Any arguments give a result or an ArgumentError of one line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call, instruments
from hubel.tools.instruments.argument_checks import MAX_CHARACTERS, MAX_TEXT
from hubel.tools.instruments.steer import Steering
from hubel.tools.subject.interventions import MAX_VALUE
from tests.support.calls import CALLS, TEXT

WORDS = [
    "cat",
    "dog",
    "the",
    "year 1999",
    "red",
    " ",
    "\n",
    "é",
    "\ud800",
    "\x1b[2J",
    "🙂",
    "a" * 300,
]
UNITS = ["mlp.1.5", "mlp.2.0-", "head.1.2", "resid.1:0", "mlp.9.9", "mlp.1.5+", "mlp.-1.2", "x", ""]
HUGE = 2**70


@pytest.fixture
def context(indexed: InstrumentContext) -> InstrumentContext:
    return indexed


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit an argument's schema, mostly, and with the edges of its bounds."""
    options = schema.get("anyOf", [schema])
    return st.one_of(*(map(_of_type, options)))


def _of_type(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    low, high = schema.get("minimum"), schema.get("maximum")
    if kind == "integer":
        top = min(high if high is not None else 2**64, 2**64)
        bottom = low if low is not None else -(2**64)
        return st.integers(bottom, top) | st.sampled_from([bottom, top])
    if kind == "number":
        return st.floats(low, high) if low is not None or high is not None else st.floats()
    if kind == "boolean":
        return st.booleans()
    if kind == "null":
        return st.none()
    if kind == "array":
        most = min(schema.get("maxItems", 12), 12)
        least = min(schema.get("minItems", 0), 12)
        return st.lists(values(schema.get("items", {})), min_size=least, max_size=max(least, most))
    if "address" in schema.get("description", "") or "resid.8" in schema.get("description", ""):
        return st.sampled_from([*UNITS, "mlp.1", "resid.1"])
    return st.sampled_from([TEXT, *WORDS, *UNITS]) | st.text(max_size=30)


@contextmanager
def allow_argument_error() -> Iterator[None]:
    """Let an ArgumentError pass if it is one line that can be printed and is short enough to read."""
    try:
        yield
    except ArgumentError as error:
        line = str(error)
        assert "\n" not in line
        assert len(line.encode()) <= 3000


_SCALARS = [None, True, False, -1, 0, HUGE, -HUGE, 1.5, math.nan, math.inf, "", "5", "\ud800"]
ODD = st.sampled_from([*_SCALARS, [], {}, [[]], [None], {"a": 1}, ["x"] * 70, b"bytes"])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CALLS))
def test_arguments_give_a_result_or_an_argument_error(
    name: str, context: InstrumentContext
) -> None:
    properties = instruments()[name].schema()["properties"]
    small = {"new_tokens": 3, "most": 10, "contexts": 10, "texts": None}

    @st.composite
    def arguments(draw: st.DrawFn) -> dict[str, Any]:
        made = dict(CALLS[name])
        for argument in draw(st.sets(st.sampled_from(sorted(properties)), min_size=1)):
            made[argument] = draw(values(properties[argument]) | ODD)
        if draw(st.booleans()) and draw(st.booleans()):
            made[draw(st.sampled_from(["x", "split", "context", "\ud800", ""]))] = draw(ODD)
        return made

    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]
    )
    @given(arguments())
    @example(dict(CALLS[name]))
    def check(made: dict[str, Any]) -> None:
        for argument, most in small.items():
            if isinstance(made.get(argument), int) and most and made[argument] > most:
                made[argument] = most
        with allow_argument_error():
            result = call(name, made, context)
            json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False).encode()
            result.render().encode()

    check()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"strengths": [math.nan]}, "strengths.0"),
        ({"strengths": [math.inf]}, "strengths.0"),
        ({"strengths": [10**400]}, "strengths.0"),
        ({"seed": 2**63}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": "5"}, "seed"),
        ({"new_tokens": 3.0}, "new_tokens"),
        ({"strengths": [True]}, "strengths.0"),
        ({"strengths": ["2"]}, "strengths.0"),
        ({"unit": ["mlp.1.5"]}, "unit"),
        ({"text": "x" * (MAX_TEXT + 1)}, f"{MAX_TEXT:,}"),
        ({"tokens": ["x" * 10_000] * (MAX_CHARACTERS // 10_000 + 1)}, f"{MAX_CHARACTERS:,}"),
        ({"tokens": [1] * 200_000}, "values"),
        ({"unknown": 1}, "unknown"),
        ({"unknown": [[[[[[[[[[[[]]]]]]]]]]]]}, "deep"),
    ],
)
def test_what_is_wrong_is_named(
    wrong: dict[str, Any], says: str, context: InstrumentContext
) -> None:
    with pytest.raises(ArgumentError, match=says) as caught:
        call("steer", {**CALLS["steer"], **wrong}, context)
    assert str(caught.value).startswith("steer: ")
    assert len(str(caught.value)) < 2000


def test_long_texts_are_refused_before_the_subject_is_loaded() -> None:
    def load() -> Any:
        raise AssertionError("loaded")

    with pytest.raises(ArgumentError, match="characters"):
        call("steer", {**CALLS["steer"], "text": "x" * 100_000_000}, InstrumentContext(load))


def test_half_characters_are_replaced(context: InstrumentContext) -> None:
    halves = call("generate", {**CALLS["generate"], "text": "a \ud800 cat"}, context)
    whole = call("generate", {**CALLS["generate"], "text": "a � cat"}, context)
    assert halves == whole


def test_numbers_for_strings_are_still_taken(context: InstrumentContext) -> None:
    assert call("corpus.search", {**CALLS["corpus.search"], "pattern": 1999}, context)


@pytest.mark.parametrize("strength", [1e16, -1e20, 1e38, 1e300])
@pytest.mark.parametrize("op", ["add", "set", "scale"])
def test_a_strength_that_overflows_in_a_norm_is_refused(
    strength: float, op: str, context: InstrumentContext
) -> None:
    arguments = {**CALLS["steer"], "op": op, "strengths": [strength]}
    with pytest.raises(ArgumentError, match=r"too large; give 1e\+15 at most"):
        call("steer", arguments, context)


def test_the_largest_strength_leaves_only_what_the_unit_writes(context: InstrumentContext) -> None:
    arguments = {**CALLS["steer"], "strengths": [1e9, MAX_VALUE]}
    steering = call("steer", arguments, context)
    assert isinstance(steering, Steering)
    large, largest = steering.strengths
    assert largest.kl == pytest.approx(large.kl, rel=1e-3)
