"""A language model's investigation as a reader follows it: what it was shown, what it did, what
came of it.

Built from the log alone. A second look stands where it happened, marked; of each reply the cost
stands beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .events import LLM_CALL

if TYPE_CHECKING:
    from .log import RunLog

Who = Literal["program", "model", "second look"]


@dataclass(frozen=True)
class TranscriptLine:
    """Something that was said.

    Attributes:
        who: the program (evidence, outcomes, repairs), the model, or the model in a second look.
        cost: of a reply: model, tokens, price and seconds in one line; else "".
    """

    who: Who
    text: str
    cost: str = ""


@dataclass(frozen=True)
class TracedClaim:
    """A number or quotation of the conclusion, and the ids of the evidence in which it stands; none: unsupported."""

    text: str
    evidence: tuple[str, ...]


def transcript(log: RunLog, target: str) -> list[TranscriptLine]:
    """All that was said about a target, in order; empty for a mind that is no language model."""
    return [line for row in _replies(log, target) for line in _lines(row)]


def claims(log: RunLog, target: str) -> list[TracedClaim]:
    """The claims of the last conclusion."""
    moves = [move for move in log.all("move", target).values() if move.get("favourite")]
    found = moves[-1]["claims"] if moves else ()
    return [TracedClaim(claim["text"], tuple(claim["evidence"])) for claim in found]


def _replies(log: RunLog, target: str) -> list[Mapping[str, Any]]:
    return [
        row for row in log.all(LLM_CALL, target).values() if "system_and_tools" in row["request"]
    ]


def _lines(row: Mapping[str, Any]) -> Iterator[TranscriptLine]:
    look = str(row["prompt"]).startswith("second_look")
    for message in row["request"]["new"]:
        if "results" in message:
            yield TranscriptLine(
                "program", "\n".join(result["text"] for result in message["results"])
            )
        elif message.get("text"):
            yield TranscriptLine("program", message["text"])
    answer = row["answer"]
    said = [answer["text"].strip()] if answer["text"].strip() else []
    said += [f"{call['name']} {_arguments(call)}" for call in answer["calls"]]
    ending = {"refused": "(refused)", "length": "(cut off)"}.get(answer["stop"], "")
    yield TranscriptLine(
        "second look" if look else "model",
        "\n".join([*said, ending]).strip() or "(nothing)",
        _cost(row),
    )


def _arguments(call: Mapping[str, Any]) -> str:
    return (
        call["raw"]
        if call["arguments"] is None
        else json.dumps(call["arguments"], ensure_ascii=False)
    )


def _cost(row: Mapping[str, Any]) -> str:
    parts = [str(row["model"])]
    if row["input_tokens"] is not None:
        cached = f" ({row['cache_read']:,} cached)" if row["cache_read"] else ""
        parts.append(
            f"{row['input_tokens']:,} tokens in{cached}, {row['output_tokens'] or 0:,} out"
        )
    parts += [f"${row['usd']:.4f}"] if row["usd"] is not None else []
    return ", ".join([*parts, f"{row['seconds']:.1f} s", *_waited(row)])


def _waited(row: Mapping[str, Any]) -> Iterator[str]:
    """What was waited for the reply, and why."""
    for wait in row.get("waits", ()):
        yield f"{wait['seconds']:.1f} s of them waited: {wait['why']}"
