"""Texts with labels, groups and slices: by name, from a table, or from the hub.

Not here: documents without labels (`tools/corpus`), and what a subject does with a text.
"""

from __future__ import annotations

from .context import ContextTexts, tokens_in_context
from .groups import SplitRows, independent_groups, require_separate, split_by_group
from .labelled_texts import LabelledTexts
from .registry import dataset, datasets, read_dataset

__all__ = [
    "ContextTexts",
    "LabelledTexts",
    "SplitRows",
    "dataset",
    "datasets",
    "independent_groups",
    "read_dataset",
    "require_separate",
    "split_by_group",
    "tokens_in_context",
]
