"""Errors of language models.

ModelError          no reply; the target is a failure, and can be tried again
├── Busy            one attempt failed in a way that may pass: `retry` waits and tries again
├── OversizedReply  more bytes, values or tool calls than any model's answer takes
├── Unreachable     no server, or one that was busy for longer than the patience of the run
├── PromptCut       the server read only a part of the prompt
├── OtherForm       the server wants the request in another form, in which it is sent next
└── Rejected        the request, the key or the model is wrong: trying again does not help
    ├── TooLong     the conversation is longer than the model's context window
    └── NoTools     the model, or its server, cannot call tools
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ...tools.errors import HubelError

if TYPE_CHECKING:
    from .conversation import TokenUsage
    from .rate_headers import Allowance


Fate = Literal["unsent", "refused", "broken", "timed out"]
"""What happened to a request without a reply, and so what it costs.

unsent: no server got it; it costs nothing. refused: the server answered with an error, which no
provider bills. broken, timed out: the answer did not arrive whole, cannot be used, or may still be
being written; it may be billed.
"""


class ModelError(HubelError):
    """A language model gave no reply.

    Attributes:
        fate: of the request.
        usage: what the server counted anyway, if it did.
        status: of the answer in HTTP; 0 if there was none.
    """

    fate: Fate = "broken"
    usage: TokenUsage | None = None
    status: int = 0


class Busy(ModelError):
    """One attempt got no reply, and the next may.

    Args:
        message: one line.
        pause_s: how long the server asks to wait; None if it does not say.
        crowded: whether it got too many requests (429, 503, 529): then all callers of this model wait.
        allowances: what is left of its limits, from the headers.
        fate: what happened to the request.
    """

    def __init__(
        self,
        message: str,
        *,
        pause_s: float | None = None,
        crowded: bool = False,
        allowances: Sequence[Allowance] = (),
        fate: Fate = "broken",
    ) -> None:
        super().__init__(message)
        self.fate = fate
        self.pause_s, self.crowded, self.allowances = pause_s, crowded, allowances


class OversizedReply(ModelError):
    """A server sent more than any model's answer takes; asking again would bring as much."""


class PromptCut(ModelError):
    """The server read only a part of the prompt, and answered that."""


class OtherForm(ModelError):
    """The server refused the form of a request; the connection sends it next in another form."""

    fate = "refused"


class Unreachable(ModelError):
    """The server could not be reached, or was busy for longer than the patience of the run."""


class Rejected(ModelError):
    """The server refuses this request: a wrong key, an unknown model, an account without credit."""

    fate = "refused"


class TooLong(Rejected):
    """The conversation is longer than the model's context window."""


class NoTools(Rejected):
    """The model, or its server, cannot call tools."""
