"""The minds: each explainer is one file here, found by its name.

compositional     no language model: searches weighted formulas over a library of concepts (the default)
ten-tokens        the ten tokens with the largest weights: a first thing to beat
scripted          the moves of a file, for tests and for taking a run apart
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from ...tools.errors import UsageError

if TYPE_CHECKING:
    from ..case import Explainer
    from ..config import RunConfig

_FILES = {"compositional": "compositional", "ten-tokens": "ten_tokens", "scripted": "scripted"}


def make_explainer(name: str, config: RunConfig) -> Explainer:
    """The explainer of that name.

    Raises:
        UsageError: there is none; the message lists those that are there.
    """
    if name not in _FILES:
        raise UsageError(f"unknown explainer {name!r}; known ones are {', '.join(_FILES)}")
    make: Callable[[RunConfig], Explainer] = import_module(f".{_FILES[name]}", __name__).make
    return make(config)
