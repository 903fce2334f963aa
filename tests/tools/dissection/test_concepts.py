"""Each family's mask against a loop over positions that says the rule again in plain words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hubel.tools.dissection import Concept, Lexicon, TextView
from hubel.tools.dissection.concepts import FAMILIES, find_family
from hubel.tools.dissection.concepts.base import TokenClass, family
from hubel.tools.dissection.concepts.wordclass import classes
from hubel.tools.dissection.grammar import parse_concept
from hubel.tools.errors import UsageError
from tests.support import world

Rule = Callable[[list[str], int], bool]


def bare(tokens: list[str], p: int) -> str:
    return tokens[p].strip()


def inside(tokens: list[str], p: int) -> bool:
    level = 0
    for q in range(p):
        level = max(level + tokens[q].count("(") - tokens[q].count(")"), 0)
    return level > 0 and tokens[p] not in "()"


def sentence_start(tokens: list[str], p: int) -> bool:
    q = p - 1
    while q >= 0 and q >= p - 4 and not any(c.isalnum() for c in tokens[q]) and tokens[q] != ".":
        q -= 1
    return any(c.isalnum() for c in tokens[p]) and q >= max(p - 4, 0) and tokens[q] == "."


def continues(tokens: list[str], p: int) -> bool:
    return p > 0 and tokens[p][:1].isalnum() and tokens[p - 1][-1:].isalnum()


RULES: dict[str, Rule] = {
    'token(" Monday")': lambda t, p: t[p] == " Monday",
    'words("said", "the")': lambda t, p: bare(t, p).lower() in ("said", "the"),
    'suffix("ing")': lambda t, p: bare(t, p).lower().endswith("ing") and len(bare(t, p)) > 3,
    'prefix("br")': lambda t, p: bare(t, p).lower().startswith("br") and len(bare(t, p)) > 2,
    'casing("capitalised")': lambda t, p: bare(t, p)[:1].isupper() and not bare(t, p)[1:].isupper(),
    'casing("upper-case")': lambda t, p: bare(t, p).isupper() and len(bare(t, p)) > 1,
    'casing("lower-case")': lambda t, p: bare(t, p).islower(),
    'kind("number")': lambda t, p: bare(t, p).isdigit(),
    'kind("comma")': lambda t, p: t[p] == ",",
    'kind("colon")': lambda t, p: t[p] == ":",
    'kind("punctuation")': lambda t, p: bare(t, p) != "" and not any(c.isalnum() for c in t[p]),
    'kind("newline")': lambda t, p: t[p] == "\n",
    'kind("currency")': lambda t, p: t[p] == "$",
    'letters("least", 5)': lambda t, p: bare(t, p).isalpha() and len(bare(t, p)) >= 5,
    'letters("most", 2)': lambda t, p: (
        bare(t, p).replace("'", "").isalpha() and len(bare(t, p)) <= 2
    ),
    'wordclass("weekdays")': lambda t, p: bare(t, p).lower() in classes()["weekdays"],
    "position(2, 5)": lambda t, p: 2 <= p <= 5,
    'after(words("the"))': lambda t, p: p > 0 and bare(t, p - 1).lower() == "the",
    'recent(3, kind("number"))': lambda t, p: any(
        bare(t, q).isdigit() for q in range(max(p - 3, 0), p)
    ),
    'since(words("monday"))': lambda t, p: any(bare(t, q) == "Monday" for q in range(p)),
    'both(suffix("s"), after(words("a")))': lambda t, p: (
        p > 0 and bare(t, p).endswith("s") and len(bare(t, p)) > 1 and bare(t, p - 1).lower() == "a"
    ),
    'repeated("token")': lambda t, p: t[p] in t[:p],
    'repeated("word")': lambda t, p: (
        bare(t, p).replace("'", "").isalpha()
        and bare(t, p).lower() in [w.strip().lower() for w in t[:p]]
    ),
    'repeated("pair")': lambda t, p: (
        p > 0 and any(t[q - 1 : q + 1] == t[p - 1 : p + 1] for q in range(1, p))
    ),
    "induction()": lambda t, p: p > 0 and t[p - 1] in t[: p - 1],
    'place("quotation")': lambda t, p: (
        sum(x.count('"') for x in t[:p]) % 2 == 1 and '"' not in t[p]
    ),
    'place("brackets")': inside,
    'place("word piece")': continues,
    'place("third piece")': lambda t, p: continues(t, p) and continues(t, p - 1),
    'place("sentence start")': sentence_start,
}


@pytest.mark.parametrize("printed", sorted(RULES))
def test_a_mask_is_what_a_loop_over_positions_says(printed: str, sample: TextView) -> None:
    mask = parse_concept(printed).mask(sample)
    strings = sample.lexicon.strings
    expected = np.zeros_like(mask)
    for row, size in enumerate(sample.length):
        tokens = [strings[t] for t in sample.tokens[row, :size]]
        for p in range(size):
            expected[row, p] = RULES[printed](tokens, p)
    assert expected.any()
    np.testing.assert_array_equal(mask, expected)


def test_a_neighbourhood_is_the_nearest_words_by_brute_force(language: Lexicon) -> None:
    assert language.vectors is not None
    first = {
        s.strip().lower(): language.vectors[i]
        for i, s in reversed(list(enumerate(language.strings)))
        if s[0] == " "
    }
    pieces = [s.lower() for s in language.strings if s.isalpha() and s.lower() not in first]
    first |= {w: language.vectors[[s.lower() for s in language.strings].index(w)] for w in pieces}
    first |= {"'s": language.vectors[language.strings.index("'s")]}
    middle = (first["bram"] + first["brent"]) / 2
    nearest = sorted(first, key=lambda w: -float(first[w] @ middle))[:12]
    member = parse_concept('near(12, "bram", "brent")')
    assert isinstance(member, TokenClass)
    holds = member.holds(language, np.arange(len(language)))
    assert {language.bare[i].lower() for i in np.flatnonzero(holds)} == set(nearest)


def test_a_neighbourhood_needs_vectors_and_known_words(sample: TextView) -> None:
    with pytest.raises(UsageError, match="without an embedding"):
        parse_concept('near(12, "bram")').mask(world.text(world.lexicon(vectors=False), contexts=2))
    with pytest.raises(UsageError, match="no neighbourhood"):
        parse_concept('near(12, "unheard")').mask(sample)


def needing_words() -> set[str]:
    """Families that read a tagger's words or lexica: test_tagged_concepts, test_lexical_concepts."""
    one_by_one = Concept.candidate_rows.__func__
    return {name for name, cls in FAMILIES.items() if cls.candidate_rows.__func__ is not one_by_one}


def test_every_family_is_tested_here_and_found_by_name() -> None:
    tested = {part for printed in RULES for part in FAMILIES if f"{part}(" in printed}
    assert set(FAMILIES) - tested <= {"near", "rank", "phrase", *needing_words()}
    with pytest.raises(UsageError, match="there are after"):
        find_family("nosuch")


def test_rank_goes_by_token_id() -> None:
    words = Lexicon([f" w{chr(97 + i % 26)}" for i in range(2500)])
    rare = find_family("rank").from_arguments("rare", 2)
    assert isinstance(rare, TokenClass)
    np.testing.assert_array_equal(
        rare.holds(words, np.array([0, 1999, 2000, 2499])), [False, False, True, True]
    )


def test_a_family_cannot_be_registered_twice() -> None:
    with pytest.raises(UsageError, match="two families"):
        family("suffix")(TokenClass)


def test_no_two_word_classes_hold_the_same_words() -> None:
    members = list(classes().values())
    assert all(members)
    assert len(set(members)) == len(members)


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("months", "months"), ("war", "words about war"), ("asian countries", "Asian countries")],
)
def test_a_listed_class_is_called_what_a_sentence_can_say(name: str, phrase: str) -> None:
    assert parse_concept(f'wordclass("{name}")').phrase() == phrase
