"""Changes of a text that should not matter to its reader, and one that says nothing as a control.

- typo: one word of four letters and more gets a slip: two letters swapped, one dropped, doubled, or
  replaced by its neighbour on a keyboard. Its first letter stays.
- case: all small letters, all capitals, or each word with one.
- paraphrase: one rule of a short list is applied, in either direction: contractions, and words that
  mean the same in most texts. A text to which no rule applies is left out.
- order: all words but the last change places. It should matter to a reader of sentences; a subject
  that does not care reads a bag of words.
- opening: a word that says nothing is put before the text, the control: what any change does.

Each is drawn with a seed, so that a text has as many versions as are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import starmap

import numpy as np

from .word_edits import word_spans

Perturb = Callable[[str, np.random.Generator], str | None]
"""A changed text, or None where the change does not apply."""

OPENINGS = ("So, ", "Well, ", "Now, ", "Indeed, ", "Then, ")
NEIGHBOURS = {
    a: b
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for a, b in zip(row, row[1:] + row[-2], strict=True)
}
"""A key to the one next to it."""
SAME_MEANING = (
    ("do not", "don't"), ("does not", "doesn't"), ("is not", "isn't"), ("are not", "aren't"),
    ("was not", "wasn't"), ("cannot", "can't"), ("will not", "won't"), ("it is", "it's"),
    ("that is", "that's"), ("they are", "they're"), ("I am", "I'm"), ("everyone", "everybody"),
    ("someone", "somebody"), ("think", "believe"), ("called", "named"), ("because", "since"),
    ("big", "large"), ("began", "started"), ("city", "town"), ("sits", "resides"),
    ("opposite", "reverse"), ("means", "denotes"), ("went", "travelled"), ("gave", "handed"),
    ("while", "whilst"), ("often", "frequently"), ("buy", "purchase"), ("house", "home"),
    ("said", "stated"), ("seems", "appears"), ("today", "nowadays"), ("shop", "store"),
)  # fmt: skip
SHORTEST_TYPO = 4
"""Letters of a word that may get a slip: a shorter one would often become another word."""


def typo(text: str, rng: np.random.Generator) -> str | None:
    """One slip of the keyboard in one word."""
    spans = [
        (start, end)
        for start, end in word_spans(text)
        if end - start >= SHORTEST_TYPO and text[start:end].isalpha()
    ]
    if not spans:
        return None
    start, end = spans[rng.integers(len(spans))]
    place = int(rng.integers(start + 1, end - 1))
    letter, following = text[place], text[place + 1]
    slips = [
        following + letter,
        following,
        letter + letter + following,
        NEIGHBOURS.get(letter.lower(), letter + letter) + following,
    ]
    changed = text[:place] + slips[rng.integers(len(slips))] + text[place + 2 :]
    return changed if changed != text else text[:place] + text[place + 1 :]


def case(text: str, rng: np.random.Generator) -> str | None:
    """Other capitals."""
    versions = [each for each in (text.lower(), text.upper(), text.title()) if each != text]
    return versions[rng.integers(len(versions))] if versions else None


def paraphrase(text: str, rng: np.random.Generator) -> str | None:
    """One word or phrase for another that means the same."""
    rules = [rule for pair in SAME_MEANING for rule in (pair, pair[::-1])]
    versions = [each for each in starmap(lambda a, b: _replaced(text, a, b), rules) if each]
    return versions[rng.integers(len(versions))] if versions else None


def order(text: str, rng: np.random.Generator) -> str | None:
    """All words but the last in another order; spaces and points stay where they are."""
    spans = word_spans(text)[:-1]
    words = [text[start:end] for start, end in spans]
    if len({word.lower() for word in words}) < 2:
        return None
    shuffled = words
    while [word.lower() for word in shuffled] == [word.lower() for word in words]:
        shuffled = [words[place] for place in rng.permutation(len(words))]
    for (start, end), word in reversed(list(zip(spans, shuffled, strict=True))):
        text = text[:start] + word + text[end:]
    return text


def opening(text: str, rng: np.random.Generator) -> str | None:
    """A word that says nothing before the text: the control."""
    return OPENINGS[rng.integers(len(OPENINGS))] + text[:1].lower() + text[1:]


PERTURBATIONS: Mapping[str, Perturb] = {
    "typo": typo,
    "case": case,
    "paraphrase": paraphrase,
    "order": order,
    "opening": opening,
}


def _replaced(text: str, old: str, new: str) -> str | None:
    """The text with the first occurrence replaced, with its capital."""
    match = re.search(rf"(?<!\w){re.escape(old)}(?!\w)", text, re.IGNORECASE)
    if not match:
        return None
    fitting = new[0].upper() + new[1:] if match[0][0].isupper() else new
    return text[: match.start()] + fitting + text[match.end() :]
