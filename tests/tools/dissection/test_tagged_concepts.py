"""Concepts over a tagger's words: against a loop over tokens, printed and read back, in English."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.annotation import Annotations, names
from hubel.tools.annotation.annotator import tag_contexts
from hubel.tools.dissection import Lexicon, TextView
from hubel.tools.dissection.concepts import FAMILIES, Concept
from hubel.tools.dissection.concepts.both import Both
from hubel.tools.dissection.concepts.grammatical import NamedValue
from hubel.tools.dissection.concepts.lemma import Lemma
from hubel.tools.dissection.concepts.proper_names import EntityKind
from hubel.tools.dissection.concepts.related import HeadWord, PreviousWord
from hubel.tools.dissection.concepts.tagged import TaggedWord
from hubel.tools.dissection.concepts.word_piece import WordPiece
from hubel.tools.dissection.grammar import parse_concept
from hubel.tools.errors import UsageError

TEXTS = (
    " The old man who lives in New South Wales said that he had play ed the best games .",
    " The dogs and the cats were chased by the man , and she wo n't play with them in the house .",
    " What the people of the country want is that their children play , sing and learn .",
)
FAMILY_CLASSES = [c for c in FAMILIES.values() if issubclass(c, TaggedWord)] + [WordPiece]
NAMED = [c for c in FAMILY_CLASSES if issubclass(c, NamedValue)]


class SpacyOnce:
    """An annotator without a cache."""

    def __init__(self, tagger: Any, strings: list[str]) -> None:
        self._tagger, self._strings = tagger, strings

    def annotate(self, tokens: np.ndarray, length: np.ndarray) -> Annotations:
        return tag_contexts(self._tagger, self._strings, tokens, length)


@pytest.fixture(scope="module")
def text(tagger: Any) -> TextView:
    rows = [[f" {word}" for word in text.split()] for text in TEXTS]
    rows[0] = [*rows[0][:13], " play", "ed", *rows[0][15:]]
    strings = sorted({word for row in rows for word in row})
    tokens = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for row, words in enumerate(rows):
        tokens[row, : len(words)] = [strings.index(word) for word in words]
    lexicon = Lexicon(strings, annotator=SpacyOnce(tagger, strings))
    return TextView(tokens, np.array([len(row) for row in rows]), lexicon)


def holds(concept: Concept, annotations: Annotations, word: int) -> bool:
    """The naive rule for one word."""
    if word < 0:
        return False
    if isinstance(concept, PreviousWord):
        return holds(concept.inner, annotations, int(annotations.previous[word]))
    if isinstance(concept, HeadWord):
        return holds(concept.inner, annotations, int(annotations.head[word]))
    if isinstance(concept, Both):
        return all(holds(part, annotations, word) for part in (concept.first, concept.second))
    assert isinstance(concept, TaggedWord)
    name, accepted = concept.reading()
    layer = annotations.layers[name]
    code = layer.codes[word]
    return code >= 0 and layer.values[code] in accepted


@pytest.mark.tagger
@pytest.mark.parametrize("cls", FAMILY_CLASSES, ids=lambda cls: cls.family)
def test_candidates_are_those_of_a_loop_over_tokens(text: TextView, cls: type[Concept]) -> None:
    keep = text.real.copy()
    keep[:, 0] = False
    candidates = cls.candidate_rows(text, keep, 1)
    assert candidates is not None
    concepts, rows = candidates
    shape = rows.toarray().shape
    assert len(concepts) == shape[0] > 0
    assert shape[1] == keep.sum()
    assert len(set(concepts)) == len(concepts)
    for concept, row in zip(concepts, rows.toarray(), strict=True):
        mask = concept.mask(text)
        assert np.array_equal(mask[keep], row > 0)
        assert row.any()
        if cls is not WordPiece:
            naive = [holds(concept, text.annotations, word) for word in text.annotations.word.flat]
            assert np.array_equal(mask.flat, naive)
        assert parse_concept(concept.to_text()) == concept


@pytest.mark.tagger
def test_too_few_positions_are_no_candidate(text: TextView) -> None:
    concepts, rows = Lemma.candidate_rows(text, text.real, 4)
    assert Lemma("the") in concepts
    assert Lemma("old") not in concepts
    assert np.diff(rows.indptr).min() >= 4


@pytest.mark.tagger
def test_a_lemma_covers_the_pieces_of_its_forms(text: TextView) -> None:
    mask = Lemma("play").mask(text)
    tokens = [text.lexicon.strings[i] for i in text.tokens[mask]]
    assert tokens == [" play", "ed", " play", " play"]
    after = PreviousWord(Lemma("play")).mask(text)
    assert [text.lexicon.strings[i] for i in text.tokens[after]] == [" the", " with", " ,"]


def test_a_vocabulary_without_tagger_has_no_such_candidates() -> None:
    text = TextView(np.array([[0, 0, 0]]), np.array([3]), Lexicon([" the"]))
    assert text.annotation_problem == "this vocabulary has no tagger"
    for cls in FAMILY_CLASSES:
        concepts, rows = cls.candidate_rows(text, text.real, 1)  # pyright: ignore[reportAttributeAccessIssue]
        assert (len(concepts), rows.shape) == (0, (0, 3))


@pytest.mark.parametrize("cls", NAMED, ids=lambda cls: cls.family)
def test_every_name_prints_reads_back_and_has_a_phrase_of_its_own(cls: type[NamedValue]) -> None:
    for name in cls.phrases:
        concept = cls(name)
        assert parse_concept(concept.to_text()) == concept
        assert concept.reading().values
    assert len(set(cls.phrases.values())) == len(cls.phrases)
    with pytest.raises(UsageError, match=f"{cls.family} is one of "):
        cls("colour")


@given(st.text(min_size=1).map(str.lower).filter(lambda word: word == word.lower()))
def test_any_lemma_prints_and_reads_back(word: str) -> None:
    concept = Both(parse_concept('relation("object")'), HeadWord(PreviousWord(Lemma(word))))
    try:
        printed = concept.to_text()
        printed.encode()
    except UnicodeEncodeError:
        return  # a lone surrogate is no text
    assert parse_concept(printed) == concept


def test_phrases() -> None:
    def noun(printed: str) -> str:
        return parse_concept(printed).noun()

    assert noun('lemma("play")') == "*play*"
    assert noun('form("past-tense verb")') == "past-tense verbs"
    assert noun('relation("subject")') == "subjects"
    assert noun('entity("place")') == "names of places"
    assert noun('name("new south wales")') == 'mentions of "new south wales"'
    assert noun('previous(lemma("say"))') == "words right after *say*"
    assert noun('both(relation("object"), head(lemma("win")))') == (
        "objects of verbs depending on *win*"
    )


@pytest.mark.parametrize(
    "printed", ['lemma("Play")', "lemma()", 'previous("say")', 'head(kind("number"))']
)
def test_wrong_arguments_are_refused(printed: str) -> None:
    with pytest.raises(UsageError):
        parse_concept(printed)


def test_every_kind_of_entity_has_a_phrase() -> None:
    assert set(EntityKind.phrases) == {*names.ENTITIES.values(), *EntityKind.groups}
    assert set(names.NAMES) < set(names.ENTITIES.values())
