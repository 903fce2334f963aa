"""What can go wrong between us and a language model.

ModelError          no reply; the target is a failure, and can be tried again
├── Busy            one attempt failed in a way that may pass: `patience` waits and tries again
├── Unreachable     no server, or one that was too busy for longer than we wait
└── Rejected        the server says that the request, the key or the model is wrong: trying again is no use
    ├── TooLong     the conversation is longer than the model's context window
    └── NoTools     the model, or its server, knows no tool calls
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...tools.errors import HubelError

if TYPE_CHECKING:
    from .rate_headers import Allowance


class ModelError(HubelError):
    """A language model gave no reply."""


class Busy(ModelError):
    """One attempt got no reply, and the next may.

    Args:
        message: one line.
        pause_s: what the server asks us to wait; None where it does not say.
        crowded: whether it is we who ask too much (429, 529): then everybody who asks this model waits.
        allowances: what the server's headers say that is left.
    """

    def __init__(
        self,
        message: str,
        *,
        pause_s: float | None = None,
        crowded: bool = False,
        allowances: Sequence[Allowance] = (),
    ) -> None:
        super().__init__(message)
        self.pause_s, self.crowded, self.allowances = pause_s, crowded, allowances


class Unreachable(ModelError):
    """The server could not be reached, or was too busy for longer than we wait."""


class Rejected(ModelError):
    """The server does not want this request: a wrong key, an unknown model, an account without credit."""


class TooLong(Rejected):
    """The conversation is longer than the model's context window."""


class NoTools(Rejected):
    """The model, or its server, knows no tool calls."""
