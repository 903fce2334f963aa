"""A small made-up language: 240 tokens in clusters of meaning, and text of which every concept family has some."""

from __future__ import annotations

import numpy as np

from hubel.tools.dissection import Lexicon, TextView

FUNCTION = [
    "the",
    "a",
    "of",
    "in",
    "and",
    "he",
    "she",
    "they",
    "is",
    "was",
    "to",
    "on",
    "said",
    "says",
    "told",
]
STEMS = [
    f"{a}{b}"
    for a in ("br", "cl", "dr", "fl", "gr", "pl", "st", "tr")
    for b in ("am", "ent", "ick", "old")
]
MARKS = [".", ",", '"', "(", ")", "-", "$", ":", "\n", "'s"]
DAYS = ["Monday", "Tuesday", "Friday", "Sunday"]


def strings() -> list[str]:
    """Token strings: words with a space, inflected, capitalised and upper-case; pieces without; digits; marks."""
    spaced = [f" {w}" for w in (*FUNCTION, *STEMS)]
    inflected = [f" {w}{end}" for w in STEMS for end in ("ing", "s")]
    cased = [f" {w.capitalize()}" for w in STEMS] + [f" {w.upper()}" for w in STEMS[:8]]
    pieces = ["er", "ly", "al", "ous", "et", "on", *(w.capitalize() for w in FUNCTION[:5])]
    return [*spaced, *inflected, *cased, *(f" {d}" for d in DAYS), *pieces, *"0123456789", *MARKS]


def lexicon(vectors: bool = True) -> Lexicon:
    """Words of one stem's first two letters are neighbours, days are, function words are."""
    names = strings()
    rng = np.random.default_rng(5)
    groups = [
        "day" if s.strip() in DAYS else s.strip().lower()[:2] if len(s.strip()) > 3 else "rest"
        for s in names
    ]
    centres = {g: rng.standard_normal(24) for g in sorted(set(groups))}
    rows = np.stack([centres[g] + 0.4 * rng.standard_normal(24) for g in groups])
    return Lexicon.build(names, rows if vectors else None)


def text(lex: Lexicon, contexts: int = 160, seq: int = 40, seed: int = 0) -> TextView:
    """Random tokens, function words and marks more often than others; every fifth context is short."""
    rng = np.random.default_rng(seed)
    often = np.array(
        [
            3.0 if s.strip().lower() in FUNCTION or not s.strip().isalpha() else 1.0
            for s in lex.strings
        ]
    )
    tokens = rng.choice(len(lex), size=(contexts, seq), p=often / often.sum()).astype(np.int32)
    length = np.full(contexts, seq)
    length[::5] = seq // 2
    tokens[np.arange(seq) >= length[:, None]] = 0
    return TextView(tokens, length, lex)


def documents(contexts: int) -> np.ndarray:
    """Four contexts a document."""
    return np.arange(contexts) // 4
