"""Network dissection for text: a concept library, a predicate language with its interpreter, and the formula search."""

from __future__ import annotations

from .baselines import plain_greedy, ten_weighted_tokens
from .candidates import CandidateMatrix
from .concepts import Concept
from .fit_grades import fit_grades, term_contributions
from .greedy import FormulaLimits
from .lexicon import Lexicon
from .predicate import Predicate, WeightedConcept, WrittenTerm, parse_terms
from .search import ScoredFormula, build_candidates, search_formulas
from .text_view import TextView

__all__ = [
    "CandidateMatrix",
    "Concept",
    "FormulaLimits",
    "Lexicon",
    "Predicate",
    "ScoredFormula",
    "TextView",
    "WeightedConcept",
    "WrittenTerm",
    "build_candidates",
    "fit_grades",
    "parse_terms",
    "plain_greedy",
    "search_formulas",
    "ten_weighted_tokens",
    "term_contributions",
]
