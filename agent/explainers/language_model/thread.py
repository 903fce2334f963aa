"""One line of conversation: what every request of it carries.

    opening   the prompt's user part: what the unit does on the corpus
    ledger    one short message for each older turn, never changed once it is written
    recent    the last reply as it came, with the answers to its tool calls

A turn is shortened when the next reply has come: by then its outcomes are in the log, and the ids
that findings cite remain. What is before the last turn is the same in the next request, so that
providers read it from their cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...llm.conversation import Request
from . import tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...llm.conversation import Message
    from .parse_reply import ParsedToolCall

MAX_TOKENS = 4096
"""Tokens of one reply, thinking included where a provider counts it so."""


@dataclass
class ConversationThread:
    """The messages of one conversation, and the last reply's calls while unanswered."""

    system: str
    label: str
    """Name, version and hash of the prompt."""
    own_tools: tuple[str, ...]
    opening: list[Message]
    ledger: list[Message] = field(default_factory=list)
    recent: list[Message] = field(default_factory=list)
    last_calls: Sequence[ParsedToolCall] = ()
    """Of the last usable reply."""
    unanswered: Sequence[ParsedToolCall] = ()
    replies: int = 0
    faults: int = 0
    """Unusable replies in a row."""
    last_fault: str = ""

    def request(self) -> Request:
        """What is sent next."""
        return Request(
            system=self.system,
            messages=(*self.opening, *self.ledger, *self.recent),
            tools=tools.schemas(*self.own_tools),
            max_tokens=MAX_TOKENS,
            prompt=self.label,
            tool_choice="any",
        )
