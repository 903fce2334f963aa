"""Network dissection for text: a concept library, a predicate language with its interpreter, and the formula search."""

from __future__ import annotations

from .baselines import plain_greedy, ten_weighted_tokens
from .candidates import Library
from .concepts import Concept
from .fit_grades import find_grades, worth
from .greedy import Limits
from .lexicon import Lexicon
from .predicate import Predicate, Term, Written, written_terms
from .search import Candidate, build_library, explain
from .text_view import Text

__all__ = [
    "Candidate",
    "Concept",
    "Lexicon",
    "Library",
    "Limits",
    "Predicate",
    "Term",
    "Text",
    "Written",
    "build_library",
    "explain",
    "find_grades",
    "plain_greedy",
    "ten_weighted_tokens",
    "worth",
    "written_terms",
]
