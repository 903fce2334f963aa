"""Where a server departs from its protocol, learned from its refusals.

A server that refuses the form of a request says what it wants. The connection then sends this and
all later requests in that form: each refusal costs one call without tokens.

    new_limit    the limit of tokens is `max_completion_tokens`, not `max_tokens`
    stream       it only streams
    usage        a stream may be asked for its token counts (`stream_options`)
    reasoning    the model's reasoning is sent back with its earlier messages
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REASONING = ("reasoning_content", "reasoning_details", "reasoning")
"""Fields of a message in which servers send a model's reasoning."""
_STREAM_ONLY = re.compile(
    r"\bstream(ing)?\b.{0,60}\b(only|must|required?|true|mandatory|enable)"
    r"|\b(only|must|requires?|enable|set)\b.{0,60}\bstream",
    re.IGNORECASE | re.DOTALL,
)
_REASONING = re.compile(r"\breasoning(_content|_details)?\b", re.IGNORECASE)
_REFUSED = re.compile(
    r"not permitted|not allowed|unsupported|not supported|unexpected|unknown|unrecognized|extra|must not"
    r"|should not|cannot (be|include)|invalid|remove",
    re.IGNORECASE,
)


@dataclass
class Dialect:
    """The form in which requests to one server are sent."""

    new_limit: bool
    stream: bool = False
    usage: bool = True
    reasoning: bool = True

    def learn(self, refusal: str, sent: Mapping[str, Any]) -> bool:
        """Change the form as a refusal asks; False if it names nothing that can be changed.

        Args:
            sent: the request that was refused.
        """
        if "max_tokens" in sent and "max_completion_tokens" in refusal:
            self.new_limit = True
        elif "stream_options" in sent and "stream_options" in refusal:
            self.usage = False
        elif not sent.get("stream") and _STREAM_ONLY.search(refusal):
            self.stream = True
        elif (
            self._sends_reasoning(sent) and _REASONING.search(refusal) and _REFUSED.search(refusal)
        ):
            self.reasoning = False
        else:
            return False
        return True

    def _sends_reasoning(self, sent: Mapping[str, Any]) -> bool:
        messages = sent.get("messages") or ()
        return any(name in message for message in messages for name in REASONING)

    def fitted(self, wire: dict[str, Any], most_output: int) -> dict[str, Any]:
        """A request of OpenAI's protocol in this form."""
        wire["max_completion_tokens" if self.new_limit else "max_tokens"] = most_output
        if self.stream:
            wire["stream"] = True
            if self.usage:
                wire["stream_options"] = {"include_usage": True}
        if not self.reasoning:
            wire["messages"] = [
                {name: value for name, value in message.items() if name not in REASONING}
                for message in wire["messages"]
            ]
        return wire
