"""Classes of a lexicon as concepts: by the tagger's readings where there are some, else by the word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.tools.dissection import Lexicon, Predicate, TextView
from hubel.tools.dissection.concepts.kind_of import KindOf
from hubel.tools.dissection.concepts.lexical import LexicalClass
from hubel.tools.dissection.concepts.valence import Valence
from hubel.tools.dissection.concepts.word_family import WordFamily
from hubel.tools.dissection.frozen_lexicon import freeze
from hubel.tools.dissection.grammar import parse_concept
from hubel.tools.errors import UsageError
from hubel.tools.lexica import Lexica, WordNet
from hubel.tools.lexica.wordnet_files import read_wordnet
from tests.support.small_wordnet import write_archive

SPACED = "dogs Turkey turkey beast hares animal decide decision decided can the huge Dog good"
WORDS = [*(f" {word}" for word in SPACED.split()), "dog"]


class _Small(Lexica):
    """The small WordNet, and three ratings."""

    def __init__(self, wordnet: WordNet | None) -> None:
        super().__init__()
        self.wordnet = wordnet  # type: ignore[misc]
        self.valence = {"good": 1.9, "beast": -1.6, "turkey": -0.4} if wordnet else None  # type: ignore[misc]


@pytest.fixture
def lexicon(tmp_path: Path) -> Lexicon:
    wordnet = WordNet(read_wordnet(write_archive(tmp_path / "w.tgz")))
    return Lexicon(WORDS, lexica=_Small(wordnet))


def words_of(lexicon: Lexicon, printed: str) -> list[str]:
    tokens = np.arange(len(lexicon))[None]
    mask = parse_concept(printed).mask(TextView(tokens, np.array([len(lexicon)]), lexicon))
    return [lexicon.strings[i] for i in np.flatnonzero(mask[0])]


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ('kind_of("animal")', [" dogs", " turkey", " beast", " hares", " animal", " Dog"]),
        ('kind_of("country")', [" Turkey"]),
        ('kind_of("size values")', [" huge"]),
        ('family("decide")', [" decide", " decision", " decided"]),
        ('valence("positive")', [" good"]),
        ('valence("negative")', [" beast"]),
    ],
)
def test_who_is_a_member_and_that_it_prints_and_freezes(
    lexicon: Lexicon, tmp_path: Path, printed: str, words: list[str]
) -> None:
    """Pieces without a space ("dog") are no words, and a word is no member by a rare use ("can")."""
    assert words_of(lexicon, printed) == words
    assert parse_concept(printed).to_text() == printed
    freeze(lexicon, [f"strongly {printed}"]).save(tmp_path / "frozen")
    frozen = Lexicon.load(tmp_path / "frozen")
    assert frozen.lexica is None
    assert words_of(frozen, printed) == words


def test_a_word_that_the_search_never_saw_is_decided(lexicon: Lexicon) -> None:
    frozen = freeze(lexicon, ['strongly kind_of("animal")'])
    other = Lexicon([" animals", " tables"], None, frozen.neighbourhoods)
    assert words_of(other, 'kind_of("animal")') == [" animals"]


@pytest.mark.parametrize(
    "printed", ['kind_of("animal")', 'family("decide")', 'valence("negative")']
)
def test_without_the_lexicon_a_class_is_refused_and_no_candidate(
    lexicon: Lexicon, printed: str
) -> None:
    for lexica in (None, _Small(None)):
        bare = Lexicon(WORDS, lexica=lexica)
        with pytest.raises(UsageError, match="needs a lexicon"):
            words_of(bare, printed)
        keep = np.ones((1, len(WORDS)), bool)
        text = TextView(np.arange(len(WORDS))[None], np.array([len(WORDS)]), bare)
        concept = parse_concept(printed)
        assert isinstance(concept, LexicalClass)
        concepts, rows = concept.candidate_rows(text, keep, 1)
        assert (concepts, rows.get_shape()) == ([], (0, len(WORDS)))
    with pytest.raises(UsageError):
        Predicate.parse('strongly valence("meh")')


def test_candidates_hold_where_each_of_them_says(lexicon: Lexicon) -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, len(WORDS), (40, 20))
    text = TextView(tokens, rng.integers(5, 21, 40), lexicon)
    keep = text.real & (np.arange(20) > 0)
    for family, most in ((KindOf, 12), (WordFamily, 1), (Valence, 4)):
        concepts, rows = family.candidate_rows(text, keep, 6)
        assert 1 <= len(concepts) <= most
        for i, concept in enumerate(concepts):
            np.testing.assert_array_equal(rows[[i]].toarray()[0] > 0, concept.mask(text)[keep])


def test_of_classes_with_one_name_or_the_same_positions_one_is_a_candidate(
    lexicon: Lexicon,
) -> None:
    tokens = np.tile(np.arange(len(WORDS)), (20, 1))
    text = TextView(tokens, np.full(20, len(WORDS)), lexicon)
    concepts, _ = KindOf.candidate_rows(text, text.real, 6)
    phrases = [concept.phrase() for concept in concepts if isinstance(concept, KindOf)]
    assert "animals" in phrases
    assert len(phrases) == len(set(phrases))
