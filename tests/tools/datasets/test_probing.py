"""The probing tasks: balance, and every label by another rule than the generator's."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from hubel.tools.datasets import LabelledTexts, datasets, read_dataset
from hubel.tools.datasets.probing.bigram_shift import bigram_shift
from hubel.tools.datasets.probing.coordination_inversion import coordination_inversion
from hubel.tools.datasets.probing.grammar import Tree, sentence
from hubel.tools.datasets.probing.length import CLASSES, sentence_length
from hubel.tools.datasets.probing.lexicon import COMPATIBLE, KINDS, PEOPLE
from hubel.tools.datasets.probing.noun_number import object_number, subject_number
from hubel.tools.datasets.probing.odd_man_out import odd_man_out
from hubel.tools.datasets.probing.tense import tense
from hubel.tools.datasets.probing.top_constituents import top_constituents
from hubel.tools.datasets.probing.tree_depth import tree_depth
from hubel.tools.datasets.probing.word_content import WORDS, word_content

GENERATORS = {
    "length": sentence_length,
    "word-content": word_content,
    "tree-depth": tree_depth,
    "top-constituents": top_constituents,
    "bigram-shift": bigram_shift,
    "tense": tense,
    "subject-number": subject_number,
    "object-number": object_number,
    "odd-man-out": odd_man_out,
    "coordination-inversion": coordination_inversion,
}
ROWS = 240
NOUNS = {
    form: number
    for noun in PEOPLE
    for form, number in zip(noun, ("singular", "plural"), strict=True)
}


@pytest.fixture(scope="module", params=GENERATORS)
def data(request: pytest.FixtureRequest) -> LabelledTexts:
    """Each task, small."""
    return GENERATORS[request.param](ROWS, 1)


def test_all_ten_have_a_name() -> None:
    assert {f"probing/{name}" for name in GENERATORS} <= set(datasets())
    assert read_dataset("probing/tense").sha256 == tense().sha256


def test_classes_are_balanced_to_one_percent(data: LabelledTexts) -> None:
    counts = Counter(data.labels)
    assert len(data) == ROWS
    expected = 1 / len(counts)
    assert all(abs(n / len(data) - expected) < 0.01 for n in counts.values())


def test_the_seed_decides(data: LabelledTexts) -> None:
    generate = GENERATORS[data.name.partition("/")[2]]
    assert generate(ROWS, 1).sha256 == data.sha256 != generate(ROWS, 2).sha256


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def test_length_is_the_number_of_words() -> None:
    for text, label in zip(*_rows(sentence_length(ROWS)), strict=True):
        assert len(text.split()) in CLASSES[label]


def test_word_content_names_the_only_word() -> None:
    forms = {form: noun.singular for noun in PEOPLE for form in noun if noun.singular in WORDS}
    for text, label in zip(*_rows(word_content(ROWS)), strict=True):
        assert [forms[word] for word in words(text) if word in forms] == [label]


def test_depth_is_the_deepest_bracket() -> None:
    draw = random.Random(0)
    for tree in (sentence(draw) for _ in range(200)):
        depth = deepest = 0
        for character in tree.bracketed():
            depth += {"(": 1, ")": -1}.get(character, 0)
            deepest = max(deepest, depth)
        assert tree.depth() == deepest
    assert Tree("S", (Tree("NP", (Tree("NN", word="x"),)),)).depth() == 3


def test_depth_does_not_follow_from_length() -> None:
    data = tree_depth(ROWS)
    lengths: dict[str, list[int]] = defaultdict(list)
    for text, label in zip(*_rows(data), strict=True):
        lengths[label].append(len(text.split()))
    assert len({tuple(sorted(each)) for each in lengths.values()}) == 1


def test_top_constituents_show_in_the_first_word() -> None:
    first = {"The": "NP VP", "And": "CC NP VP", "But": "CC NP VP"}
    first |= dict.fromkeys(("When", "Because", "Although", "After"), "SBAR NP VP")
    first |= dict.fromkeys(
        ("Near", "Behind", "Beside", "Outside", "Inside", "Opposite"), "PP NP VP"
    )
    for text, label in zip(*_rows(top_constituents(ROWS)), strict=True):
        assert first.get(text.split()[0], "ADVP NP VP") == label


def test_a_swap_is_of_two_neighbours() -> None:
    data = bigram_shift(ROWS)
    pairs: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for text, label, group in zip(data.texts, data.labels, data.groups, strict=True):
        pairs[group][label] = words(text)
    for pair in pairs.values():
        original, swapped = pair["original"], pair["swapped"]
        differing = [at for at in range(len(original)) if original[at] != swapped[at]]
        assert len(differing) == 2
        assert differing[1] == differing[0] + 1
        assert "the" in (swapped[differing[0]], swapped[differing[1]])


@pytest.mark.parametrize(("generate", "which"), [(subject_number, 0), (object_number, -1)])
def test_number_is_that_of_the_noun(generate: Any, which: int) -> None:
    data = generate(ROWS)
    for text, label, group in zip(data.texts, data.labels, data.groups, strict=True):
        noun = [word for word in words(text) if word in NOUNS][which]
        assert NOUNS[noun] == label
        assert group in {each.singular for each in PEOPLE if noun in each}


def test_an_odd_object_is_of_another_kind_and_nothing_else_tells() -> None:
    verbs = {verb: kind for kind, (given, _) in KINDS.items() for verb in given}
    nouns: dict[str, set[str]] = defaultdict(set)
    for kind, (_, given) in KINDS.items():
        for noun in given:
            nouns[noun].add(kind)
    counts: dict[str, Counter[str]] = {"original": Counter(), "odd": Counter()}
    for text, label in zip(*_rows(odd_man_out(ROWS)), strict=True):
        *_, verb, _, noun = words(text)
        assert (verbs[verb] in nouns[noun]) == (label == "original")
        assert not any(frozenset((verbs[verb], kind)) in COMPATIBLE for kind in nouns[noun])
        counts[label].update(words(text))
    assert counts["original"] == counts["odd"]


def test_the_pronoun_comes_last_in_the_right_order() -> None:
    for text, label in zip(*_rows(coordination_inversion(ROWS)), strict=True):
        assert (words(text)[-1] in ("it", "them")) == (label == "original")


@pytest.mark.tagger
def test_a_tagger_agrees(tagger: Any) -> None:
    """Tense, and numbers of subject and object, as an independent parser reads them."""
    agreed: dict[str, list[bool]] = defaultdict(list)
    for data in (tense(60), subject_number(60), object_number(60)):
        for document, label in zip(tagger.pipe(data.texts), data.labels, strict=True):
            root = next(token for token in document if token.dep_ == "ROOT")
            if data.name.endswith("tense"):
                agreed[data.name].append((root.tag_ == "VBD") == (label == "past"))
            else:
                relation = "nsubj" if "subject" in data.name else "dobj"
                found = [token for token in document if token.dep_ == relation]
                agreed[data.name].append(
                    bool(found) and (found[0].tag_ == "NNS") == (label == "plural")
                )
    assert {name: bool(np.mean(values) > 0.9) for name, values in agreed.items()} == dict.fromkeys(
        agreed, True
    )


def _rows(data: LabelledTexts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return data.texts, data.labels
