"""Malformed answers by name, for scripts and the soak.

    CONNECTION   the connection breaks, so that no answer arrives whole
    BODIES       status 200, with a body that is not an answer of the protocol
    REPLIES      a valid answer with a useless reply: what models do when they go wrong

Some bodies are malformed in their bookkeeping only (token counts, stop reason, unknown fields) and
contain the whole good reply; HARMLESS lists them. Their reply must be used, and malformed counts
must be ignored.

A malformed body is made from the good answer, so that it is wrong in one way only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, cast

from ...agent.llm.conversation import Reply, ToolCall
from .wires import Provider

CONNECTION = ("reset", "cut", "truncated", "hang")
"""reset: before the first byte. cut: reset in the middle of the body. truncated: closed in the
middle of the body. hang: no answer until the client goes away."""

Body = Callable[[Provider, dict[str, Any]], bytes]
ReplyFault = Callable[[Reply], Reply]
DEEP = 5000
"""Levels of nesting, more than a recursive parser survives."""
HUGE = 300_000
"""Characters, seven times what one reply may have."""


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _with_usage(usage: Any) -> Body:
    return lambda provider, answer: _dumped(answer | {"usage": usage})


def _counts(value: Any) -> Body:
    def fault(provider: Provider, answer: dict[str, Any]) -> bytes:
        return _dumped(answer | {"usage": dict.fromkeys(answer["usage"], value)})

    return fault


def _without_content(provider: Provider, answer: dict[str, Any]) -> bytes:
    name = "choices" if provider == "openai" else "content"
    return _dumped({k: v for k, v in answer.items() if k != name})


def _content(value: Any) -> Body:
    return lambda provider, answer: _dumped(
        answer | {"choices" if provider == "openai" else "content": value}
    )


def _in_message(field: str, value: Any) -> Body:
    """A wrong field of OpenAI's message, or of each of Anthropic's blocks."""

    def fault(provider: Provider, answer: dict[str, Any]) -> bytes:
        if provider == "anthropic":
            return _dumped(
                answer | {"content": [block | {field: value} for block in answer["content"]]}
            )
        choices = [c | {"message": c["message"] | {field: value}} for c in answer["choices"]]
        return _dumped(answer | {"choices": choices})

    return fault


BODIES: dict[str, Body] = {
    "no_json": lambda provider, answer: b"the model is thinking ...",
    "half_json": lambda provider, answer: _dumped(answer)[: len(_dumped(answer)) // 2],
    "html": lambda provider, answer: b"<!doctype html><title>502</title><h1>Bad gateway</h1>",
    "no_utf8": lambda provider, answer: _dumped(answer).replace(b'"model"', b'"m\xff\xfedel"'),
    "nothing": lambda provider, answer: b"",
    "null": lambda provider, answer: b"null",
    "list": lambda provider, answer: _dumped([answer]),
    "string": lambda provider, answer: b'"done"',
    "empty_object": lambda provider, answer: b"{}",
    "error_as_answer": lambda provider, answer: _dumped({"error": {"message": "overloaded"}}),
    "deep_body": lambda provider, answer: b"[" * DEEP + b"]" * DEEP,
    "no_content": _without_content,
    "null_content": _content(None),
    "no_choices": _content([]),
    "content_of_numbers": _content([7, 8]),
    "content_of_nulls": _content([None]),
    "content_is_text": _content("propose"),
    "no_usage": _with_usage(None),
    "usage_is_text": _with_usage("many"),
    "usage_is_list": _with_usage([1, 2]),
    "counts_are_text": _counts("many"),
    "counts_are_negative": _counts(-7),
    "counts_are_nan": _counts(float("nan")),
    "counts_are_infinite": _counts(float("inf")),
    "counts_are_huge": _counts(10**400),
    "counts_are_objects": _counts({"n": 1}),
    "stop_is_unknown": lambda provider, answer: _dumped(_stopped(provider, answer, "because")),
    "stop_is_number": lambda provider, answer: _dumped(_stopped(provider, answer, 7)),
    "wrong_role": lambda provider, answer: (
        _dumped(answer | {"role": "user"})
        if provider == "anthropic"
        else _in_message("role", "user")(provider, answer)
    ),
    "type_is_unknown": _in_message("type", "surprise"),
    "calls_are_text": _in_message("tool_calls", "propose"),
    "calls_are_nulls": _in_message(
        "tool_calls", [None, {}, {"function": None}, {"id": 7, "function": {"name": 7}}]
    ),
    "text_is_number": _in_message("text", 7),
    "text_is_object": _in_message("content", {"a": [1]}),
    "input_is_text": _in_message("input", "{"),
    "input_is_null": _in_message("input", None),
    "name_is_number": _in_message("name", 7),
    "id_is_null": _in_message("id", None),
    "model_is_object": lambda provider, answer: _dumped(answer | {"model": {"a": 1}}),
    "nan_inside": lambda provider, answer: _dumped(answer | {"temperature": float("nan")}),
    "unknown_fields": lambda provider, answer: _dumped(answer | {"x" * 2000: [[[{}]]]}),
}


def _stopped(provider: Provider, answer: dict[str, Any], why: Any) -> dict[str, Any]:
    if provider == "anthropic":
        return answer | {"stop_reason": why}
    return answer | {"choices": [choice | {"finish_reason": why} for choice in answer["choices"]]}


def _says(*calls: tuple[str, Any], **other: Any) -> ReplyFault:
    """A reply with other calls; arguments that are a string are sent as they are."""
    tool_calls = tuple(
        _call(f"call_{i}", name, arguments) for i, (name, arguments) in enumerate(calls)
    )
    return lambda reply: replace(reply, calls=tool_calls, **other)


def _call(id: str, name: str, arguments: Any) -> ToolCall:
    raw = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ToolCall(id, name, cast(Any, arguments), raw)


def _arguments(change: Callable[[str], str]) -> ReplyFault:
    def fault(reply: Reply) -> Reply:
        return replace(
            reply, calls=tuple(_call(call.id, call.name, change(call.raw)) for call in reply.calls)
        )

    return fault


def _ids(change: Callable[[str], str]) -> ReplyFault:
    return lambda reply: replace(
        reply, calls=tuple(replace(call, id=change(call.id)) for call in reply.calls)
    )


def _nested(depth: int) -> str:
    return '{"hypotheses": ' + "[" * depth + "]" * depth + "}"


def _experiment(**fields: Any) -> ReplyFault:
    experiment = {"hypothesis": "h1", "text": "the cat sat", "predicts": "fires"} | fields
    return _says(
        ("experiment", {"experiments": [experiment]}), ("challenge", {"experiments": [experiment]})
    )


def _hypothesis(**fields: Any) -> ReplyFault:
    return _says(("propose", {"hypotheses": [{"sentence": "Fires on cats."} | fields]}))


REPLIES: dict[str, ReplyFault] = {
    "empty": lambda reply: replace(reply, text="", calls=(), stop="end"),
    "only_text": lambda reply: replace(
        reply, text="It fires on weekdays. Score: 1.0", calls=(), stop="end"
    ),
    "refusal": lambda reply: replace(
        reply, text="I cannot help with that.", calls=(), stop="refused"
    ),
    "refused_with_calls": lambda reply: replace(reply, stop="refused"),
    "cut_off": lambda reply: replace(reply, stop="length"),
    "cut_arguments": _arguments(lambda raw: raw[: len(raw) // 2]),
    "arguments_no_json": _arguments(lambda raw: "sentence: cats"),
    "arguments_list": _arguments(lambda raw: f"[{raw}]"),
    "arguments_null": _arguments(lambda raw: "null"),
    "arguments_empty": _arguments(lambda raw: ""),
    "arguments_deep": _says(("propose", _nested(DEEP)), ("experiment", _nested(60))),
    "arguments_surrogate": _says(
        ("propose", '{"hypotheses": [{"sentence": "\\ud800 fires \\udc00"}]}')
    ),
    "arguments_nul": _says(("propose", '{"hypotheses": [{"sentence": "\\u0000\\u0000"}]}')),
    "arguments_nan": _experiment(predicts="within", low=float("nan"), high=float("inf")),
    "arguments_huge_number": _experiment(predicts="within", low=-(10**400), high=10**400),
    "unknown_tool": _says(("run_shell", {"command": "rm -rf /"})),
    "score_tool": _says(("score", {"value": 1.0}), ("verdict", {"kept": True})),
    "no_tool_name": _says(("", {})),
    "huge_tool_name": _says(("x" * 5000, {})),
    "same_ids": lambda reply: _ids(lambda id: "call")(replace(reply, calls=reply.calls * 2)),
    "no_ids": _ids(lambda id: ""),
    "many_calls": _says(*(("logit_lens", {"unit": "U"}),) * 300),
    "huge_text": lambda reply: replace(reply, text="word " * (HUGE // 5)),
    "huge_arguments": _says(("propose", {"hypotheses": [{"sentence": "x" * HUGE}]})),
    "wrong_types": _says(
        ("propose", {"hypotheses": 7}), ("experiment", {"experiments": [{"text": 3}]})
    ),
    "no_arguments": _says(
        ("propose", {}), ("experiment", {}), ("conclude", {}), ("cannot_explain", {})
    ),
    "extra_arguments": _says(
        ("conclude", {"hypothesis": "h1", "score": 1.0, "p": 0, "verdict": "kept"})
    ),
    "unknown_hypothesis": _says(("conclude", {"hypothesis": "h99"})),
    "concludes_at_once": _says(
        ("conclude", {"hypothesis": "h1", "findings": "It is certain [e99]."})
    ),
    "no_predicate": _hypothesis(predicate="loudly words('cat'"),
    "empty_predicate": _hypothesis(predicate=" "),
    "huge_predicate": _hypothesis(predicate=" + ".join(['strongly words("a")'] * 5000)),
    "deep_predicate": _hypothesis(
        predicate="strongly " + "after(" * 200 + 'words("a")' + ")" * 200
    ),
    "nan_predicate": _hypothesis(predicate='strongly words("a"); step nan, rest inf'),
    "hostile_pattern": _hypothesis(predicate='strongly regex("(a+)+$")'),
    "empty_sentence": _hypothesis(sentence=""),
    "long_sentence": _hypothesis(sentence="word " * 200),
    "same_hypotheses": _says(("propose", {"hypotheses": [{"sentence": "Fires on cats."}] * 8})),
    "empty_text": _experiment(text=""),
    "long_text": _experiment(text="cat " * 4000),
    "control_text": _experiment(text="\x00\x1b[2J\u202e\ufeff"),
    "focus_elsewhere": _experiment(focus="zebra"),
    "greater_than_nothing": _experiment(predicts="greater"),
    "bounds_crossed": _experiment(predicts="within", low=1, high=-1),
    "rank_of_nothing": _experiment(quantity="rank", predicts="within", low=0, high=10**9),
    "address": _says(
        ("activations_exemplars", {"unit": "mlp.0.0"}), ("ablate", {"units": ["mlp.1.1"]})
    ),
    "unknown_alias": _says(("activations_exemplars", {"unit": "U99"})),
    "layer": _says(("logit_lens", {"unit": "U", "layer": 3})),
    "instrument_of_nothing": _says(
        ("activations_on_text", {}), ("activations_search", {"text": "", "k": -1})
    ),
    "instrument_of_much": _says(("activations_on_text", {"texts": ["cat"] * 1000})),
    "unit_is_object": _says(("activations_exemplars", {"unit": {"a": [1]}, "k": "many"})),
    "gives_up_without_reason": _says(("cannot_explain", {"reason": ""})),
}


NAMES = (*CONNECTION, *BODIES, *REPLIES)
UNCOUNTED = frozenset(
    name for name in BODIES if name == "no_usage" or name.startswith(("usage_", "counts_"))
)
"""Bodies without valid token counts."""
_HARMLESS = UNCOUNTED | {
    "stop_is_unknown",
    "stop_is_number",
    "wrong_role",
    "model_is_object",
    "nan_inside",
    "unknown_fields",
    "text_is_number",
    "text_is_object",
}
HARMLESS: Mapping[Provider, frozenset[str]] = {
    "openai": _HARMLESS
    | {"type_is_unknown", "input_is_text", "input_is_null", "name_is_number", "id_is_null"},
    "anthropic": _HARMLESS | {"calls_are_text", "calls_are_nulls", "id_is_null"},
}
"""Bodies that contain the whole good reply; some fields matter in one protocol only."""
REPAIRED = frozenset({"no_ids", "same_ids"})
"""Replies whose calls are good except for their ids, which are replaced."""
GROUPS = ("any", "any_body", "any_reply", "any_harmful", "any_harmless")
"""Names of groups, whose faults take turns."""


def pick(name: str, number: int, provider: Provider) -> str:
    """The fault of a request; for a group, the one whose turn it is."""
    names = _members(name, provider) if name in GROUPS else (name,)
    return names[number % len(names)]


@cache
def _members(group: str, provider: Provider) -> tuple[str, ...]:
    names = {"any_body": tuple(BODIES), "any_reply": tuple(REPLIES)}.get(group, (*BODIES, *REPLIES))
    harmless = HARMLESS[provider]
    if group in ("any_harmful", "any_harmless"):
        return tuple(name for name in names if (name in harmless) == (group == "any_harmless"))
    return names


def garble(name: str, reply: Reply) -> Reply:
    """Apply a fault to a reply; faults of bodies and connections leave it as it is."""
    return REPLIES[name](reply) if name in REPLIES else reply
