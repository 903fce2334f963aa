"""Network dissection for text: a library of concepts, formulas over them, and the formula search.

    concepts/          families of concepts, one per file; each registers itself
    lexicon            what concepts need to know about a vocabulary; frozen_lexicon for run folders
    text_view          the tokens on which concepts are evaluated
    predicate          the formula: run, print, parse (grammar), put into English (statement)
    search             the search; greedy, candidates, refine_concept, exceptions, residue and ridge serve it
    fit_grades         grades for concepts that a user or model named

Scores on held-out text are not here: see `evals`.
"""

from __future__ import annotations

from .baselines import WeightedTokens, fit_token_list, ten_weighted_tokens
from .candidates import CandidateMatrix
from .concepts import Concept
from .fit_grades import fit_grades, term_contributions
from .grammar import WrittenTerm, parse_concept, parse_formula
from .greedy import FormulaLimits
from .lexicon import Lexicon
from .predicate import ListedToken, Predicate, WeightedConcept
from .search import ScoredFormula, build_candidates, search_formulas
from .statement import MAX_WORDS, word_count
from .text_view import TextView

__all__ = [
    "MAX_WORDS",
    "CandidateMatrix",
    "Concept",
    "FormulaLimits",
    "Lexicon",
    "ListedToken",
    "Predicate",
    "ScoredFormula",
    "TextView",
    "WeightedConcept",
    "WeightedTokens",
    "WrittenTerm",
    "build_candidates",
    "fit_grades",
    "fit_token_list",
    "parse_concept",
    "parse_formula",
    "search_formulas",
    "ten_weighted_tokens",
    "term_contributions",
    "word_count",
]
