"""What can go wrong between us and a language model.

ModelError          no reply; the target is a failure, and can be tried again
├── Rejected        the server says that the request, the key or the model is wrong: trying again is no use
└── Unreachable     no server, or one that was too busy for longer than we wait
"""

from __future__ import annotations

from ...tools.errors import HubelError


class ModelError(HubelError):
    """A language model gave no reply."""


class Rejected(ModelError):
    """The server does not want this request: a wrong key, an unknown model, a prompt that is too long."""


class Unreachable(ModelError):
    """The server could not be reached, or was too busy for longer than we wait."""
