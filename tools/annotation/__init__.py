"""What a tagger says about the words of a text: lemma, part of speech, grammatical relation, names.

Not here: concepts over these layers (`tools/dissection/concepts`) and word classes by lemma
(`tools/lexica`).
"""

from __future__ import annotations

from .annotations import HEAD, PIECES, PREVIOUS, AnnotationLayer, Annotations, spread
from .annotator import Annotator, SpacyAnnotator
from .english import english_problem
from .stored_annotator import StoredAnnotator, store_annotations

__all__ = [
    "HEAD",
    "PIECES",
    "PREVIOUS",
    "AnnotationLayer",
    "Annotations",
    "Annotator",
    "SpacyAnnotator",
    "StoredAnnotator",
    "english_problem",
    "spread",
    "store_annotations",
]
