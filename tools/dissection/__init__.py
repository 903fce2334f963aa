"""Network dissection for text: a concept library, a predicate language with its interpreter, and the formula search."""

from __future__ import annotations

from .baselines import plain_greedy, ten_weighted_tokens
from .candidates import CandidateMatrix
from .concepts import Concept
from .fit_grades import find_grades, term_contributions
from .greedy import FormulaLimits
from .lexicon import Lexicon
from .predicate import Predicate, WeightedConcept, Written, written_terms
from .search import Candidate, build_library, explain
from .text_view import TextView

__all__ = [
    "Candidate",
    "CandidateMatrix",
    "Concept",
    "FormulaLimits",
    "Lexicon",
    "Predicate",
    "TextView",
    "WeightedConcept",
    "Written",
    "build_library",
    "explain",
    "find_grades",
    "plain_greedy",
    "ten_weighted_tokens",
    "term_contributions",
    "written_terms",
]
