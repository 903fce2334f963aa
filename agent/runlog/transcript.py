"""An investigation as a reader follows it: what the explainer was shown, what it did, what came of it.

Built from the log alone, in two forms:

1. `turns`, for the review page. A journaled reply of a language model gives up to two turns: what
   the program said that was new, and what the model answered with its tool calls. The result of a
   call is in the program's next message and is shown with the call. Explainers that do not converse
   make moves; `move_turns` gives those, with the instrument calls between them.
2. `transcript`, lines of text for `hubel show`, each reply with its cost.

The page must show any log, also one that another program wrote, so that a reply is read with defaults.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from .events import LLM_CALL

if TYPE_CHECKING:
    from .log import RunLog

TurnKind = Literal["program", "model", "second look", "instrument"]

_EVIDENCE_ID = re.compile(r"(?m)^\[?((?:r|e|x|h)\d+)\]?(?=[ :\]]| [A-Z])")
_ENDINGS = {"refused": "(refused)", "length": "(cut off)"}
"""How a reply ended, where it did not end by itself."""
SEARCHED_CHARACTERS = 200_000
"""How much of one reply is indexed for search."""
RESULT_CHARACTERS = 20_000
"""How much of an instrument's answer is shown."""

Row = Mapping[str, Any]
"""A journaled reply, or any other event's data."""


class ToolCallTurn(TypedDict):
    """A call in a turn. `arguments` is text where the model's JSON could not be read."""

    id: str | None
    tool: str | None
    arguments: Any
    result: str | None
    error: bool


class Turn(TypedDict):
    """One turn as the page gets it. Costs are of a model's reply; `evidence` are ids first seen here."""

    n: int
    kind: TurnKind
    text: str
    calls: list[ToolCallTurn]
    evidence: list[str]
    prompt: str | None
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    usd: float | None
    seconds: float | None
    time: str | None


@dataclass(frozen=True)
class TranscriptLine:
    """Something that was said. `cost`: model, tokens, price and seconds of a reply; else ""."""

    speaker: TurnKind
    text: str
    cost: str = ""


@dataclass(frozen=True)
class TracedClaim:
    """A number or quotation of the conclusion with the ids of its evidence; without any, unsupported."""

    text: str
    evidence: tuple[str, ...]


# ---------------------------------------------------------------- 1. turns for the page


def turn_kinds(row: Row) -> list[TurnKind]:
    """The kinds of turn that one journaled reply gives, in order."""
    return ["program", _speaker(row)] if _program_text(row) else [_speaker(row)]


def turns(rows: Sequence[Row], later: Iterable[Row] = (), first: int = 0) -> list[Turn]:
    """The turns of some replies.

    Args:
        rows: as they were journaled, each with `time` and `defines`: the ids of evidence that it was the first to name.
        later: the replies after them, in which results of their calls may be found.
        first: number of the first turn.
    """
    # A server may give the calls of every turn the same id. So the replies are read backwards, and
    # the nearest later result with a call's id is its own.
    results: dict[str, Row] = {}
    results_after: list[dict[str, Row]] = []
    for row in reversed([*rows, *later]):
        results_after.append(dict(results))
        for id, result in _tool_results(row).items():
            results[str(id)] = {**result, "defines": _defined_ids(row)}
    listed: list[Turn] = []
    for row, known_results in zip(rows, reversed(results_after), strict=False):
        for kind in turn_kinds(row):
            number = first + len(listed)
            if kind == "program":
                listed.append(_program_turn(number, row))
            else:
                listed.append(_reply_turn(number, kind, row, known_results))
    return listed


def _blank_turn(number: int, kind: TurnKind, text: str) -> Turn:
    return Turn(
        n=number, kind=kind, text=text, calls=[], evidence=[], prompt=None, model=None, input_tokens=None,
        output_tokens=None, cached_tokens=None, usd=None, seconds=None, time=None,
    )  # fmt: skip


def _program_turn(number: int, row: Row) -> Turn:
    turn = _blank_turn(number, "program", _program_text(row))
    turn["prompt"], turn["time"] = row.get("prompt"), row.get("time")
    turn["evidence"] = [id for id in _evidence_ids(turn["text"]) if id in _defined_ids(row)]
    return turn


def _reply_turn(number: int, kind: TurnKind, row: Row, results: Mapping[str, Row]) -> Turn:
    """A reply as a turn: its text, its cost, and its tool calls with their results."""
    answer = row.get("answer") or {}
    text = str(answer.get("text") or "").strip()
    turn = _blank_turn(number, kind, "\n".join(filter(None, [text, _ending(answer)])))
    turn["prompt"], turn["time"], turn["model"] = (row.get(k) for k in ("prompt", "time", "model"))
    turn["input_tokens"], turn["output_tokens"] = row.get("input_tokens"), row.get("output_tokens")
    turn["cached_tokens"] = row.get("cache_read")
    turn["usd"], turn["seconds"] = row.get("usd"), row.get("seconds")
    for call in answer.get("calls") or ():
        result = results.get(str(call.get("id")))
        turn["calls"].append(_call_turn(call, result))
        if result is not None:
            named = _evidence_ids(str(result.get("text") or ""))
            turn["evidence"] += [id for id in named if id in result["defines"]]
    return turn


def _call_turn(call: Row, result: Row | None) -> ToolCallTurn:
    arguments = call.get("arguments")
    return ToolCallTurn(
        id=call.get("id"),
        tool=call.get("name"),
        arguments=call.get("raw") if arguments is None else arguments,
        result=None if result is None else str(result.get("text")),
        error=bool(result and result.get("error")),
    )


def move_turns(events: Mapping[tuple[str, str | None], Row]) -> list[Turn]:
    """The turns of an explainer that does not converse: moves and instrument calls, in the order of writing."""
    listed: list[Turn] = []
    for (event, id), data in events.items():
        if event == "move":
            turn = _blank_turn(len(listed), "program", _move_text(data))
            for part in [*(data.get("hypotheses") or ()), *(data.get("experiments") or ())]:
                turn["evidence"].append(str(part.get("id")))
            listed.append(turn)
        elif event == "call":
            turn = _blank_turn(len(listed), "instrument", "")
            request = data.get("request") or {}
            result = json.dumps(data.get("answer"), ensure_ascii=False)[:RESULT_CHARACTERS]
            call = {
                "id": id,
                "name": request.get("instrument"),
                "arguments": request.get("arguments"),
            }
            turn["calls"] = [_call_turn(call, {"text": result})]
            turn["seconds"] = data.get("seconds")
            listed.append(turn)
    return listed


def _move_text(move: Row) -> str:
    lines = [f"{h.get('id')}: {h.get('sentence')}" for h in move.get("hypotheses") or ()]
    for experiment in move.get("experiments") or ():
        id, hypothesis, relation, reason = (
            experiment.get(key) for key in ("id", "hypothesis", "relation", "reason")
        )
        passage = (experiment.get("passage") or {}).get("text")
        lines.append(f"{id} on {hypothesis}: {relation} ({reason}): {passage}")
    lines += filter(None, [move.get("cannot_explain"), move.get("findings")])
    return "\n".join(lines) or "(no more to try)"


# ---------------------------------------------------------------- 2. lines for the terminal


def transcript(log: RunLog, target: str) -> list[TranscriptLine]:
    """All that was said about a target, in order; empty for an explainer that is not a language model."""
    replies = log.all(LLM_CALL, target).values()
    return [line for row in replies if "system_and_tools" in row["request"] for line in _lines(row)]


def _lines(row: Row) -> Iterator[TranscriptLine]:
    """What the program sent since the reply before, then the reply itself."""
    for message in _new_messages(row):
        if "results" in message:
            results = (result["text"] for result in message["results"])
            yield TranscriptLine("program", "\n".join(results))
        elif message.get("text"):
            yield TranscriptLine("program", message["text"])
    answer = row["answer"]
    parts = [answer["text"].strip()] if answer["text"].strip() else []
    parts += [f"{call['name']} {_arguments_text(call)}" for call in answer["calls"]]
    text = "\n".join([*parts, _ending(answer)]).strip() or "(nothing)"
    yield TranscriptLine(_speaker(row), text, _cost(row))


def _arguments_text(call: Row) -> str:
    if call["arguments"] is None:  # no JSON: as the model wrote it
        return call["raw"]
    return json.dumps(call["arguments"], ensure_ascii=False)


def _cost(row: Row) -> str:
    """Model, tokens, dollars and seconds of a reply, in one line."""
    parts = [str(row["model"])]
    if row["input_tokens"] is not None:
        cached = f" ({row['cache_read']:,} cached)" if row["cache_read"] else ""
        parts.append(
            f"{row['input_tokens']:,} tokens in{cached}, {row['output_tokens'] or 0:,} out"
        )
    if row["usd"] is not None:
        parts.append(f"${row['usd']:.4f}")
    parts.append(f"{row['seconds']:.1f} s")
    parts += [
        f"{wait['seconds']:.1f} s of them waited: {wait['why']}" for wait in row.get("waits", ())
    ]
    return ", ".join(parts)


def traced_claims(log: RunLog, target: str) -> list[TracedClaim]:
    """The claims of the last conclusion."""
    concluding = [move for move in log.all("move", target).values() if move.get("favourite")]
    traced = concluding[-1]["claims"] if concluding else ()
    return [TracedClaim(claim["text"], tuple(claim["evidence"])) for claim in traced]


# ---------------------------------------------------------------- parts of a journaled reply


def searchable_text(row: Row) -> str:
    """The words of a reply that a search finds."""
    answer = row.get("answer") or {}
    results = [str(result.get("text")) for result in _tool_results(row).values()]
    parts = [_program_text(row), *results, answer.get("text") or ""]
    for call in answer.get("calls") or ():
        parts.append(json.dumps(call.get("arguments"), ensure_ascii=False))
    text = "\n".join(filter(None, parts))[:SEARCHED_CHARACTERS]
    return text.encode("utf-8", "replace").decode()


def evidence_named(row: Row) -> list[str]:
    """Ids of evidence that the program names before a reply, in its own words and in results of calls."""
    results = [str(result.get("text")) for result in _tool_results(row).values()]
    return _evidence_ids("\n".join([_program_text(row), *results]))


def _speaker(row: Row) -> TurnKind:
    return "second look" if str(row.get("prompt") or "").startswith("second_look") else "model"


def _ending(answer: Row) -> str:
    return _ENDINGS.get(str(answer.get("stop")), "")


def _defined_ids(row: Row) -> list[str]:
    return str(row.get("defines") or "").split()


def _evidence_ids(text: str) -> list[str]:
    """Ids of evidence at the starts of lines of a text, each once."""
    return list(dict.fromkeys(_EVIDENCE_ID.findall(text)))


def _new_messages(row: Row) -> Sequence[Row]:
    return (row.get("request") or {}).get("new") or ()


def _program_text(row: Row) -> str:
    """What the program said before a reply, without results of calls."""
    return "\n".join(str(message["text"]) for message in _new_messages(row) if message.get("text"))


def _tool_results(row: Row) -> dict[Any, Row]:
    """Results of earlier calls in the messages before a reply, by the id of the call."""
    messages = _new_messages(row)
    return {result.get("id"): result for m in messages for result in m.get("results") or ()}
