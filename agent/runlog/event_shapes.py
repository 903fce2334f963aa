"""What the data of each kind of event looks like, for readers of logs that anybody may have written.

The hashes of a log show that it was not changed after it was written, not who wrote it. `misfit`
finds the first value of an event that does not have its type. A reader leaves such an event out and
says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from .events import LEFT_OUT, LLM_CALL

Scalar = Literal["text", "number", "whole number", "anything"]
Shape = Any
"""A scalar's name; a list with the shape of its elements; a mapping with the shapes of some of its
keys, "*" for all others. None, or a missing key, fits everywhere."""
TEXT: Scalar = "text"
NUMBER: Scalar = "number"
WHOLE: Scalar = "whole number"
ANYTHING: Scalar = "anything"
MAX_DEPTH = 100
"""Levels of "anything"; what an instrument returns has about ten."""
MAX_WHOLE = 1 << 53
"""Larger numbers are not exact in a browser; SQLite ends at 2^63."""


def _all(shape: Shape, *names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, shape)


_EXEMPLARS = {
    "exemplars": [{"tokens": [TEXT], "activations": [NUMBER], **_all(WHOLE, "context", "peak")}]
}
_SCORE = {
    **_all(TEXT, "hypothesis", "scorer", "split", "text"),
    **_all(NUMBER, "value", "low", "high"),
    "floors": {"*": NUMBER},
}
_HYPOTHESIS = {
    **_all(TEXT, "id", "sentence", "predicate", "origin", "parent", "gist"),
    "round": WHOLE,
}
_PASSAGE = {"text": TEXT, "span": [NUMBER]}
_PREDICTION = {
    **_all(TEXT, "hypothesis", "relation", "quantity", "side", "reason"),
    **_all(_PASSAGE, "passage", "other"),
    **_all(ANYTHING, "bounds", "token", "versus", "strength"),
}
_TOKENS = {"tokens": [TEXT], "logits": [NUMBER]}
_NEAREST = {"by": TEXT, "compared": WHOLE, **_all([[ANYTHING]], "alike", "opposite")}
SHAPES: Mapping[str, Shape] = {
    "conclusion": {
        **_all(TEXT, "explanation", "predicate", "cannot_explain", "hypothesis"),
        **_all(TEXT, "headline", "meaning", "residue", "artefact"),
        **_all(NUMBER, "p", "seconds", "bits"),
        "failed_scores": WHOLE,
    },
    "failure": {"error": TEXT},
    "score": _SCORE,
    "verdict": {**_all(TEXT, "target", "verdict", "reason", "tier"), "p": NUMBER},
    "observation": {
        **_all(_EXEMPLARS, "exemplars+", "exemplars-", "middling+", "middling-"),
        "statistics": {"*": ANYTHING},
        "logit_lens": _all(_TOKENS, "promoted", "suppressed"),
    },
    "hypothesis": _HYPOTHESIS,
    "feedback": {"score": NUMBER},
    "prediction": _PREDICTION,
    "outcome": {"observed": NUMBER, "outcome": TEXT, **_all(ANYTHING, "compared", "seen")},
    "competitor": {**_HYPOTHESIS, "select": NUMBER},
    "move": {
        "hypotheses": [_HYPOTHESIS],
        "experiments": [{"id": TEXT, **_PREDICTION}],
        "claims": [{"text": TEXT, "evidence": [TEXT]}],
        **_all(TEXT, "findings", "cannot_explain"),
    },
    "call": {
        "request": {"instrument": TEXT, "arguments": {"*": ANYTHING}},
        "answer": {"text": TEXT, "*": ANYTHING},
        "seconds": NUMBER,
    },
    "fit": {"request": {"predicate": TEXT}, "answer": {"score": NUMBER}},
    "evaluation": {"corpus": TEXT, "scores": [_SCORE]},
    "transfer": {
        "corpus": TEXT,
        "parts": [
            {**_all(TEXT, "by", "name"), **_all(NUMBER, "bits", "value", "low", "high")},
        ],
    },
    "evidence": {"*": ANYTHING},
    "timing": {
        "cpu_seconds_before": NUMBER,
        **_all([{"name": TEXT, **_all(NUMBER, "seconds", "cpu_seconds")}], "phases", "steps"),
    },
    "rotated": {
        "layer": WHOLE,
        **_all(TEXT, "side", "explainer", "version", "dictionary"),
        "directions": [
            {
                "direction": WHOLE,
                **_all(TEXT, "predicate", "sentence"),
                "scores": [{"value": NUMBER, **_all(TEXT, "scorer", "text")}],
            }
        ],
    },
    LEFT_OUT: {"reasons": [TEXT]},
    "subject_check": {**_all(NUMBER, "loss", "frequencies"), "tokens": WHOLE},
    "neighbours": _all(_NEAREST, "direction", "together"),
    LLM_CALL: {
        **_all(TEXT, "prompt", "model"),
        **_all(NUMBER, "usd", "seconds"),
        **_all(WHOLE, "input_tokens", "output_tokens", "cache_read"),
        "request": {"new": [{"text": TEXT, "results": [{"text": TEXT, "*": ANYTHING}]}]},
        "answer": {
            **_all(TEXT, "text", "stop"),
            "calls": [{**_all(TEXT, "id", "name", "raw"), "arguments": ANYTHING}],
        },
    },
}
REVIEWS: Mapping[str, Shape] = {
    "review": {
        **_all(TEXT, "verdict", "text", "predicate", "note", "name"),
        "after_viewing": ANYTHING,
        "score": _SCORE,
    },
    "review_undone": _all(TEXT, "of", "name"),
    "holdout_opened": {"name": TEXT},
    "review_scored": {**_all(TEXT, "of", "corpus", "error"), "score": _SCORE},
}
"""What people said, in separate segments (`runlog.reviews`)."""
LISTED: Mapping[str, Shape] = {
    **SHAPES,
    "observation": _all({"exemplars": [{"tokens": [TEXT]}]}, "exemplars+", "exemplars-"),
}
"""What lists and searches read: fewer parts of the observations, which are most of a log."""


def misfit(event: str, data: Any, shapes: Mapping[str, Shape] = SHAPES) -> str:
    """What is wrong with an event's data, with the path of the value; "" if nothing is."""
    if not isinstance(data, dict):
        return f"{_shown(data)}, where an object is expected"
    return _misfit(data, shapes.get(event, {}), "")


def _misfit(value: Any, shape: Shape, path: str) -> str:
    if value is None:
        return ""
    if isinstance(shape, str):
        fits = _FITS[shape](value)
        return "" if fits else f"{path} is {_shown(value)}, where {_NAMES[shape]} is expected"
    if isinstance(shape, list):
        return _misfit_in_list(value, shape[0], path)
    if not isinstance(value, dict):
        return f"{path} is {_shown(value)}, where an object is expected"
    others = shape.get("*")
    for key, inner in value.items():
        inner_shape = shape.get(key, others)
        if inner_shape is None:
            continue
        if found := _misfit(inner, inner_shape, f"{path}.{key}".strip(".")):
            return found
    return ""


def _misfit_in_list(value: Any, shape: Shape, path: str) -> str:
    if not isinstance(value, list):
        return f"{path} is {_shown(value)}, where a list is expected"
    # Thousands of tokens and activations are checked as a whole; a list with a fault is looked through.
    if shape == TEXT and set(map(type, value)) <= {str} and _is_text("".join(value)):
        return ""
    if shape == NUMBER and set(map(type, value)) <= {int, float} and _are_finite(value):
        return ""
    for i, inner in enumerate(value):
        if inner is None and shape in (TEXT, NUMBER):
            return f"{path}[{i}] is null, where {_NAMES[shape]} is expected"
        if found := _misfit(inner, shape, f"{path}[{i}]"):
            return found
    return ""


def _is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and _are_finite([value])


def _are_finite(numbers: Iterable[float]) -> bool:
    try:
        return all(map(math.isfinite, numbers))
    except OverflowError:  # an integer beyond any float
        return False


def _is_whole(value: Any) -> bool:
    return type(value) is int and abs(value) <= MAX_WHOLE


def _is_shallow(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a value has at most `depth` levels, and only text and numbers that can be sent."""
    if isinstance(value, dict):
        return depth > 0 and all(
            _is_text(k) and _is_shallow(v, depth - 1) for k, v in value.items()
        )
    if isinstance(value, list):
        return depth > 0 and all(_is_shallow(inner, depth - 1) for inner in value)
    if isinstance(value, str):
        return _is_text(value)
    return value is None or type(value) is bool or _is_number(value)


_FITS = {TEXT: _is_text, NUMBER: _is_number, WHOLE: _is_whole, ANYTHING: _is_shallow}
_NAMES = {
    TEXT: "text",
    NUMBER: "a number",
    WHOLE: "a whole number",
    ANYTHING: "something less nested",
}


def _shown(value: Any) -> str:
    """A value in a message, shortened if it is large."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} with {len(value)} parts"
    if type(value) is int and abs(value) > MAX_WHOLE:
        return "a huge number"
    return ascii(value)[:80]
