"""The layers of annotations on sentences whose grammar is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hubel.tools.annotation import Annotations
from hubel.tools.annotation.annotator import tag_contexts
from hubel.tools.errors import UsageError

pytestmark = pytest.mark.tagger


def annotate(tagger: Any, *texts: str) -> Annotations:
    """Each text is a context, and each part between spaces a token."""
    rows = [[f" {word}" for word in text.split(" ")] for text in texts]
    strings = sorted({word for row in rows for word in row})
    tokens = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for row, words in enumerate(rows):
        tokens[row, : len(words)] = [strings.index(word) for word in words]
    return tag_contexts(tagger, strings, tokens, np.array([len(row) for row in rows]))


def values(annotations: Annotations, layer: str, row: int = 0) -> list[str]:
    codes, names = annotations.layer(layer)
    return [names[code] if code >= 0 else "" for code in codes[row]]


def test_lemma_form_relation_and_the_words_around(tagger: Any) -> None:
    tagged = annotate(tagger, "She played the best games and sang songs .")
    assert values(tagged, "lemma")[:5] == ["she", "play", "the", "good", "game"]
    assert values(tagged, "pos")[:5] == ["pronoun", "verb", "determiner", "adjective", "noun"]
    assert values(tagged, "tense")[1] == "past"
    assert values(tagged, "number")[4] == "plural"
    assert values(tagged, "degree")[3] == "superlative"
    assert values(tagged, "relation")[:2] == ["subject", "main predicate"]
    assert values(tagged, "head_lemma")[0] == "play"
    assert values(tagged, "previous_lemma")[:3] == ["", "she", "play"]
    assert values(tagged, "conjunct") == ["", "first", "", "", "", "", "later", "", ""]
    assert values(tagged, "sentence_place") == ["first", *[""] * 6, "last", ""]


def test_names_as_a_whole(tagger: Any) -> None:
    tagged = annotate(tagger, "He moved from New South Wales to the United States in March .")
    assert values(tagged, "name")[3:6] == ["new south wales"] * 3
    assert values(tagged, "name")[8:10] == ["united states"] * 2
    assert values(tagged, "entity_place")[3:6] == ["first", "later", "later"]
    assert values(tagged, "entity")[11] == "date"
    assert values(tagged, "name")[11] == ""


def test_the_innermost_clause(tagger: Any) -> None:
    tagged = annotate(tagger, "The man who lives here said that he had won .")
    clause = values(tagged, "clause")
    assert clause[1] == "main"
    assert clause[2:5] == ["relative"] * 3
    assert clause[6:10] == ["complement"] * 4


def test_a_cut_sentence_has_no_last_word_and_contexts_do_not_touch(tagger: Any) -> None:
    tagged = annotate(tagger, "He said that the", "old house burned .")
    assert "last" not in values(tagged, "sentence_place", 0)
    assert values(tagged, "sentence_place", 1)[:3] == ["first", "", "last"]
    assert values(tagged, "previous_lemma", 1)[0] == ""
    alone = annotate(tagger, "old house burned .")
    for layer in ("lemma", "pos", "relation", "clause"):
        assert values(tagged, layer, 1) == values(alone, layer)


def test_an_unknown_layer_names_those_there_are(tagger: Any) -> None:
    with pytest.raises(UsageError, match=r"no annotation 'colour'; it has .*lemma"):
        annotate(tagger, "A word .").layer("colour")
