"""The one door to a task's held-out prompts: only what verifies a circuit may import this (a test holds it)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .task import Example, Task, examples


def heldout(task: Task, seed: int = 0, lexicon: Sequence[str] = ()) -> Iterator[Example]:
    """Held-out examples: names, templates and values that no discovery prompt has."""
    return examples(task, "heldout", seed, lexicon)
