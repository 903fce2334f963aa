"""The one door to a task's held-out prompts: only what verifies a circuit may import this (a test holds it)."""

from __future__ import annotations

from collections.abc import Sequence

from .task import Example, Task, first


def heldout(task: Task, n: int, seed: int = 0, lexicon: Sequence[str] = ()) -> list[Example]:
    """Held-out examples: names, templates and values that no discovery prompt has."""
    return first(task, "heldout", n, seed, lexicon)
