"""The one door to a task's held-out prompts.

Only code that verifies a circuit may import this module; a test enforces that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .task import Example, Task, draw_examples


def heldout(task: Task, seed: int = 0, lexicon: Sequence[str] = ()) -> Iterator[Example]:
    """Draw held-out examples: their names, templates and values occur in no discovery prompt."""
    return draw_examples(task, "heldout", seed, lexicon)
