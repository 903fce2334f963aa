"""An investigation as a conversation: the turns of a transcript, out of the replies that a run has
journaled.

Of a language model each reply gives up to two turns: what the program said that was new, and what
the model answered, with its tool calls; a call's result is in the program's next words and is shown
with the call. Explainers that do not converse make moves, and those are their turns, with the
instrument calls around them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_EVIDENCE = re.compile(r"(?m)^\[?((?:r|e|x|h)\d+)\]?(?=[ :\]]| [A-Z])")
MOST_SEARCHED = 200_000
"""Characters of one reply that the search looks at."""

Row = Mapping[str, Any]


def turns_in(row: Row) -> list[str]:
    """The kinds of turn that one journaled reply gives, in order."""
    look = str(row.get("prompt") or "").startswith("second_look")
    said = ["program"] if _said(row) else []
    return [*said, "second look" if look else "model"]


def searched(row: Row) -> str:
    """The words of a reply that a search finds."""
    answer = row.get("answer") or {}
    parts = [
        text for text in (_said(row), *_results(row).values(), answer.get("text") or "") if text
    ]
    parts += [
        json.dumps(call.get("arguments"), ensure_ascii=False) for call in answer.get("calls") or ()
    ]
    return "\n".join(parts)[:MOST_SEARCHED].encode("utf-8", "replace").decode()


def turns(rows: Sequence[Row], later: Iterable[Row] = (), first: int = 0) -> list[dict[str, Any]]:
    """The turns of some replies.

    Args:
        rows: as they were journaled, each with `time` and `defines`: the ids that it was the first to say.
        later: replies behind them, in which results of their calls may stand.
        first: number of the first turn.
    """
    told: dict[str, Mapping[str, Any]] = {}
    behind: list[Mapping[str, Mapping[str, Any]]] = []
    for row in reversed(
        [*rows, *later]
    ):  # a server may give the same id to a call of every turn: the next answer counts
        behind.append(dict(told))
        told |= {
            str(id): {**answer, "defines": _defines(row)} for id, answer in _answers(row).items()
        }
    found: list[dict[str, Any]] = []
    for row, results in zip(rows, reversed(behind), strict=False):
        for kind in turns_in(row):
            found.append(_turn(first + len(found), kind, row, results))
    return found


def _turn(
    number: int, kind: str, row: Row, results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    empty = {
        "n": number,
        "kind": kind,
        "text": "",
        "calls": [],
        "prompt": row.get("prompt"),
        "model": None,
    }
    empty |= dict.fromkeys(("input_tokens", "output_tokens", "cached_tokens", "usd", "seconds"))
    empty |= {"time": row.get("time"), "evidence": []}
    if kind == "program":
        text = _said(row)
        return empty | {
            "text": text,
            "evidence": [id for id in defined_in(text) if id in _defines(row)],
        }
    answer = row.get("answer") or {}
    ending = {"refused": "(refused)", "length": "(cut off)"}.get(str(answer.get("stop")), "")
    calls = [_call(call, results) for call in answer.get("calls") or ()]
    return empty | {
        "text": "\n".join(filter(None, [str(answer.get("text") or "").strip(), ending])),
        "calls": calls,
        "model": row.get("model"),
        "input_tokens": row.get("input_tokens"),
        "output_tokens": row.get("output_tokens"),
        "cached_tokens": row.get("cache_read"),
        "usd": row.get("usd"),
        "seconds": row.get("seconds"),
        "evidence": [id for call in answer.get("calls") or () for id in _defined_by(call, results)],
    }


def _call(call: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    found = results.get(str(call.get("id")))
    text = None if found is None else str(found.get("text"))
    arguments = call.get("arguments")
    return {
        "id": call.get("id"),
        "tool": call.get("name"),
        "arguments": call.get("raw") if arguments is None else arguments,
        "result": text,
        "error": bool(found and found.get("error")),
    }


def introduced(row: Row) -> list[str]:
    """Ids of evidence in what the program said before a reply, in its own words and in answers to calls."""
    return defined_in("\n".join([_said(row), *_results(row).values()]))


def _defines(row: Row) -> list[str]:
    return str(row.get("defines") or "").split()


def _defined_by(call: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    found = results.get(str(call.get("id"))) or {}
    return [id for id in defined_in(str(found.get("text") or "")) if id in found.get("defines", ())]


def defined_in(text: str) -> list[str]:
    """Ids of the evidence that a text of the program introduces, each once."""
    return list(dict.fromkeys(_EVIDENCE.findall(text)))


def _new(row: Row) -> Sequence[Mapping[str, Any]]:
    return (row.get("request") or {}).get("new") or ()


def _said(row: Row) -> str:
    """What the program said besides the answers to calls."""
    return "\n".join(str(message["text"]) for message in _new(row) if message.get("text"))


def _answers(row: Row) -> dict[Any, Mapping[str, Any]]:
    return {
        result.get("id"): result for message in _new(row) for result in message.get("results") or ()
    }


def _results(row: Row) -> dict[Any, str]:
    return {id: str(found.get("text")) for id, found in _answers(row).items()}


def moves(events: Mapping[tuple[str, str | None], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The turns of a mind that does not converse: its moves and the instrument calls, in the order of writing."""
    found: list[dict[str, Any]] = []
    for (event, id), data in events.items():
        if event == "call":
            request = data.get("request") or {}
            call = {
                "id": id,
                "tool": request.get("instrument"),
                "arguments": request.get("arguments"),
            }
            call |= {
                "result": json.dumps(data.get("answer"), ensure_ascii=False)[:20_000],
                "error": False,
            }
            found.append(_plain(len(found), "instrument", "", [call], data.get("seconds"), []))
        elif event == "move":
            found.append(_plain(len(found), "program", _say_move(data), [], None, _ids(data)))
    return found


def _plain(
    n: int, kind: str, text: str, calls: list[Any], seconds: Any, evidence: list[str]
) -> dict[str, Any]:
    blank = dict.fromkeys(
        ("prompt", "model", "input_tokens", "output_tokens", "cached_tokens", "usd", "time")
    )
    return {
        "n": n,
        "kind": kind,
        "text": text,
        "calls": calls,
        "seconds": seconds,
        "evidence": evidence,
    } | blank


def _ids(move: Mapping[str, Any]) -> list[str]:
    return [
        str(part.get("id")) for key in ("hypotheses", "experiments") for part in move.get(key) or ()
    ]


def _say_move(move: Mapping[str, Any]) -> str:
    lines = [f"{h.get('id')}: {h.get('sentence')}" for h in move.get("hypotheses") or ()]
    lines += [
        f"{e.get('id')} on {e.get('hypothesis')}: {e.get('relation')} ({e.get('reason')}): "
        f"{(e.get('passage') or {}).get('text')}"
        for e in move.get("experiments") or ()
    ]
    return (
        "\n".join([*lines, *filter(None, [move.get("cannot_explain"), move.get("findings")])])
        or "(no more to try)"
    )
