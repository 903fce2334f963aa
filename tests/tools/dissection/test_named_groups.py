"""Neighbourhoods and clusters: named after the class that their words share, refused without a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from hubel.tools.dissection import Lexicon, TextView
from hubel.tools.dissection.concepts.cluster import Cluster
from hubel.tools.dissection.concepts.group_names import (
    BROAD,
    NamedClasses,
    groups_of_words,
    named_classes_of,
)
from hubel.tools.dissection.concepts.kind_of import KindOf
from hubel.tools.dissection.concepts.named_group import MAX_SHARE
from hubel.tools.dissection.concepts.near import NearWords
from hubel.tools.dissection.concepts.word_clusters import cluster, word_clusters
from hubel.tools.dissection.concepts.wordclass import WordClass, content_words
from hubel.tools.dissection.frozen_lexicon import freeze
from hubel.tools.dissection.grammar import parse_concept
from hubel.tools.errors import UsageError
from hubel.tools.lexica import Lexica, WordNet
from hubel.tools.lexica.wordnet_files import read_wordnet
from tests.support.small_wordnet import write_archive

ENDINGS = [f"{b}{c}" for b in "aeiou" for c in ("lk", "rn")]
EARLY = ["January", "February", "March", "April", "June", "July"]
MONTHS = [*EARLY, "August", "September", "October", "November", "December"]
COLOURS = [
    "red",
    "green",
    "blue",
    "yellow",
    "white",
    "black",
    "brown",
    "orange",
    "pink",
    "purple",
    "grey",
    "gray",
]
MIXED = ["river", "spoon", "glad", "seventh", "tax", "novel", "quiet"]
COMMON = ["of", "the", "in"]
FILLER = [f"{a}{b}{c}" for a in "bdfghjklmnpr" for b in ENDINGS for c in "aeiou"]
GROUPS = [MONTHS, COLOURS, MIXED, FILLER]


class _WordNetOnly(Lexica):
    def __init__(self, wordnet: WordNet) -> None:
        super().__init__()
        self.wordnet = wordnet  # type: ignore[misc]


@pytest.fixture
def lexicon(tmp_path: Path) -> Lexicon:
    """Words of a group are neighbours; the function words lie among the months."""
    rng = np.random.default_rng(0)
    strings = [f" {word}" for group in GROUPS for word in group]
    centre = 3 * rng.standard_normal((len(GROUPS), 32))
    rows = [centre[i] + 0.3 * rng.standard_normal(32) for i, g in enumerate(GROUPS) for _ in g]
    rows += [centre[0] + 0.1 * rng.standard_normal(32) for _ in COMMON]
    lexicon = Lexicon.build([*strings, *(f" {word}" for word in COMMON)], np.stack(rows))
    lexicon.lexica = _WordNetOnly(WordNet(read_wordnet(write_archive(tmp_path / "w.tgz"))))
    return lexicon


@pytest.fixture
def text(lexicon: Lexicon) -> TextView:
    """Filler is more frequent, so that a group of words is rare."""
    rng = np.random.default_rng(1)
    often = np.array([1.5 if s.strip() in FILLER + COMMON else 1.0 for s in lexicon.strings])
    tokens = rng.choice(len(lexicon), size=(300, 40), p=often / often.sum())
    return TextView(tokens, np.full(300, 40), lexicon)


def test_a_group_gets_the_name_that_a_loop_over_all_classes_gives() -> None:
    rng = np.random.default_rng(2)
    members = (rng.random((400, 30)) < rng.choice([0.01, 0.1, 0.5], 30)).astype(float)
    groups = [rng.choice(400, size, replace=False) for size in rng.integers(3, 12, 200)]
    # Some groups that lie in a class.
    groups += [np.flatnonzero(members[:, c])[:6] for c in range(30)]
    concepts = [WordClass(name) for name in ("months", "seasons")] + [
        KindOf(f"c{i}") for i in range(28)
    ]
    table = NamedClasses(np.arange(400), [*concepts], csr_matrix(members))
    named = table.names(groups_of_words(groups, 400))
    base = members.mean(axis=0)
    n_named = 0
    for group, name in zip(groups, named, strict=True):
        share = members[group].mean(axis=0)
        fits = (
            (share >= 0.6)
            & (members[group].sum(axis=0) >= 3)
            & (share >= 4 * base)
            & (base <= 0.025)
        )
        ratio = [
            s * np.log(s / b) + (1 - s) * np.log(max(1 - s, 1e-9) / (1 - b)) if f else -1.0
            for s, b, f in zip(share, base, fits, strict=True)
        ]
        assert name == (concepts[int(np.argmax(ratio))] if max(ratio) > 0 else None)
        n_named += name is not None
    assert n_named > 5
    assert (KindOf("person"),) == BROAD


def test_words_are_in_their_fixed_classes(lexicon: Lexicon) -> None:
    words = np.flatnonzero(content_words(lexicon))
    assert not {lexicon.words[i] for i in words} & set(COMMON)
    table = named_classes_of(lexicon, words, None)
    column = table.concepts.index(WordClass("months"))
    members = {lexicon.words[words[i]] for i in table.members[:, [column]].nonzero()[0]}
    assert members == {month.lower() for month in MONTHS}


def test_neighbourhoods_with_a_name_are_candidates_and_leave_function_words_out(
    lexicon: Lexicon, text: TextView
) -> None:
    keep = text.real & (np.arange(40) > 0)
    concepts, rows = NearWords.candidate_rows(text, keep, 6)
    phrases = {concept.phrase() for concept in concepts}
    assert any("months" in phrase for phrase in phrases)
    assert not any(word in phrase for phrase in phrases for word in MIXED + COMMON)
    for i, concept in enumerate(concepts):
        mask = concept.mask(text)[keep]
        np.testing.assert_array_equal(rows[[i]].toarray()[0] > 0, mask)
        assert mask.mean() <= MAX_SHARE
        assert isinstance(concept, NearWords)
        assert not {lexicon.words[w] for w in concept.members(lexicon)} & set(COMMON)


def test_clusters_with_a_name_are_candidates(lexicon: Lexicon, text: TextView) -> None:
    labels = np.array([i for i, group in enumerate(GROUPS) for _ in group] + [-1] * len(COMMON))
    lexicon.memo("word clusters", lambda: {100: labels.astype(np.int32)})
    keep = text.real & (np.arange(40) > 0)
    concepts, rows = Cluster.candidate_rows(text, keep, 6)
    names = [concept.name for concept in concepts if isinstance(concept, Cluster)]
    assert WordClass("months") in names
    assert len(names) == 2
    for i, concept in enumerate(concepts):
        np.testing.assert_array_equal(
            rows[[i]].toarray()[0] > 0, concept.mask(text)[keep], err_msg=concept.to_text()
        )


@pytest.mark.parametrize(
    "printed",
    [
        'cluster(100, "red", "green", wordclass("colours"))',
        'near(12, "july", wordclass("months"))',
        'near(12, "july")',
    ],
)
def test_printed_read_back_and_frozen(lexicon: Lexicon, text: TextView, printed: str) -> None:
    labels = np.array([i for i, group in enumerate(GROUPS) for _ in group] + [-1] * len(COMMON))
    lexicon.memo("word clusters", lambda: {100: labels.astype(np.int32)})
    concept = parse_concept(printed)
    assert concept.to_text() == printed
    assert concept.atoms() == 1
    frozen = freeze(lexicon, [f"strongly {printed}"])
    there = TextView(text.tokens, text.length, frozen)
    assert concept.mask(text).any()
    np.testing.assert_array_equal(concept.mask(there), concept.mask(text))
    assert list(frozen.neighbourhoods) == [printed]


def test_the_phrase_shows_examples_and_the_name() -> None:
    concept = parse_concept('cluster(300, "rain", "snow", "hail", kind_of("weather"))')
    assert concept.phrase() == 'kinds of weather like "rain", "snow" and "hail"'
    assert parse_concept('near(12, "rain", kind_of("weather"))').phrase() == (
        'kinds of weather like "rain"'
    )
    assert parse_concept('near(12, "siege", wordclass("war"))').phrase() == (
        'words about war like "siege"'
    )


@pytest.mark.parametrize("printed", ['cluster(7, "red")', "cluster(100)", "near(12)"])
def test_what_is_no_cluster_is_refused(printed: str) -> None:
    with pytest.raises(UsageError):
        parse_concept(printed)


def test_a_cluster_of_an_unknown_word_is_refused(lexicon: Lexicon, text: TextView) -> None:
    with pytest.raises(UsageError, match="spoon"):
        parse_concept('cluster(100, "spoon")').mask(text)


def test_k_means_finds_separate_groups_and_coarse_clusters_are_unions_of_fine_ones() -> None:
    rng = np.random.default_rng(3)
    group = np.arange(300) % 6
    far = np.array([0.0, 0.0, 0.0, 50.0, 50.0, 50.0])  # two halves of three groups
    centre = np.concatenate([np.eye(6) * 10, far[:, None]], axis=1)
    vectors = centre[group] + 0.1 * rng.standard_normal((300, 7))
    labels = cluster(vectors, (6, 2))
    assert len({(a, b) for a, b in zip(group, labels[6], strict=True)}) == 6
    assert len({(a, b) for a, b in zip(group >= 3, labels[2], strict=True)}) == 2
    again = cluster(vectors, (6, 2))
    assert all(np.array_equal(labels[count], again[count]) for count in labels)


def test_too_small_a_vocabulary_has_no_clusters(lexicon: Lexicon, text: TextView) -> None:
    assert word_clusters(lexicon) == {}
    concepts, rows = Cluster.candidate_rows(text, text.real, 6)
    assert (list(concepts), rows.shape) == ([], (0, int(text.real.sum())))
