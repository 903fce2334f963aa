"""Documents that repeat one another are found in any script, and unrelated ones stay apart."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.tools.corpus import duplicates
from hubel.tools.corpus.duplicates import NearDuplicates


def words(letters: str, n: int, low: int = 2, high: int = 9) -> list[str]:
    rng = random.Random(letters)
    return ["".join(rng.choices(letters, k=rng.randint(low, high))) for _ in range(n)]


ENGLISH = words("etaoinshrdlucmfwyp", 3000)
THAI = words("".join(map(chr, [*range(0xE01, 0xE2F), 0xE30, 0xE31, 0xE32, 0xE34, 0xE40])), 1500)
CHINESE = [chr(0x4E00 + n) for n in range(2500)]
KOREAN = [chr(0xAC00 + n) for n in range(0, 11_000, 9)]
CYRILLIC = words("абвгдежзийклмнопрстуфхцчшщъыьэюя", 3000)
SCRIPTS = {
    "english": (ENGLISH, " "),
    "commas": (ENGLISH, ","),
    "thai": (THAI, ""),
    "chinese": (CHINESE, ""),
    "korean": (KOREAN, ""),
    "cyrillic": (CYRILLIC, " "),
}


class Writer:
    """Random text of a script, by number of words (characters, where a script has no words)."""

    def __init__(self, script: str, seed: int) -> None:
        self.words, self.separator = SCRIPTS[script]
        self.rng = random.Random(seed)

    def pieces(self, n: int) -> list[str]:
        return self.rng.choices(self.words, k=n)

    def changed(self, pieces: list[str]) -> list[str]:
        copy = list(pieces)
        copy[self.rng.randrange(len(copy))] = self.rng.choice(self.words)
        return copy

    def join(self, *parts: list[str]) -> str:
        return self.separator.join(piece for part in parts for piece in part)

    def text(self, n: int) -> str:
        return self.join(self.pieces(n))


def groups(texts: list[str]) -> list[int]:
    with closing(NearDuplicates()) as documents:
        for text in texts:
            documents.add(text)
        return documents.groups()


def groups_of_pairs(pairs: list[tuple[str, str]]) -> list[list[int]]:
    """The groups of the two documents of each pair."""
    numbers = groups([text for pair in pairs for text in pair])
    return np.reshape(numbers, (-1, 2)).tolist()


def only_pairs(n: int) -> list[list[int]]:
    """The same when the two documents of each pair are in one group, and no others."""
    return [[2 * number, 2 * number] for number in range(n)]


@pytest.mark.parametrize("script", SCRIPTS)
def test_one_word_of_120_is_changed(script: str) -> None:
    writer = Writer(script, 1)
    originals = [writer.pieces(120) for _ in range(40)]
    pairs = [(writer.join(text), writer.join(writer.changed(text))) for text in originals]
    assert groups_of_pairs(pairs) == only_pairs(40)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("length", [300, 20_000])
def test_a_document_is_contained_in_a_longer_one(script: str, length: int) -> None:
    writer = Writer(script, 2)
    pairs: list[tuple[str, str]] = []
    for _ in range(8):
        inner, outer = writer.pieces(120), writer.pieces(length)
        at = writer.rng.randrange(length)
        pairs.append((writer.join(inner), writer.join(outer[:at], inner, outer[at:])))
    assert groups_of_pairs(pairs) == only_pairs(8)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_long_passage_is_quoted_in_two_documents(script: str) -> None:
    writer = Writer(script, 3)
    pairs: list[tuple[str, str]] = []
    for _ in range(8):
        quoted = writer.pieces(320)
        first = writer.join(writer.pieces(900), quoted, writer.pieces(500))
        second = writer.join(writer.pieces(100), writer.changed(quoted), writer.pieces(2000))
        pairs.append((first, second))
    assert groups_of_pairs(pairs) == only_pairs(8)


VARIANTS: dict[str, Callable[[str], str]] = {
    "case": str.upper,
    "whitespace": lambda text: text.replace(" ", "\r\n\t "),
    "no spaces": lambda text: text.replace(" ", ""),
    "punctuation": lambda text: text.replace(" ", " -- "),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "compatible": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "a" <= c <= "z" else c for c in text
    ),
    "named entities": lambda text: text.replace("é", "&eacute;").replace(" ", "&nbsp;"),
    "entities twice": lambda text: text.replace("é", "&amp;eacute;"),
    "numeric entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "tags": lambda text: text.replace(" ", " <b class='x'>").replace("e", "e</b>"),
    "zero-width": lambda text: text.replace("e", "e\u200b").replace("a", "a\u00ad"),
    "without accents": lambda text: text.replace("é", "e"),
    "twice": lambda text: f"{text} {text}",
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_one_text(variant: str) -> None:
    writer = Writer("english", 4)
    texts = [writer.text(60).replace("eo", "éo") for _ in range(20)]
    assert groups_of_pairs([(text, VARIANTS[variant](text)) for text in texts]) == only_pairs(20)


def test_hundreds_of_near_duplicates_are_one_group() -> None:
    writer = Writer("chinese", 5)
    original = writer.pieces(200)
    copies = [writer.changed(writer.changed(original)) for _ in range(300)]
    assert set(groups([writer.join(copy) for copy in copies])) == {0}


def test_a_document_in_ten_others_joins_them() -> None:
    writer = Writer("english", 6)
    inner = writer.pieces(100)
    outer = [writer.join(writer.pieces(400), inner, writer.pieces(300)) for _ in range(10)]
    rest = [writer.text(300) for _ in range(60)]
    numbers = groups([writer.join(inner), *outer, *rest])
    assert numbers == [0] * 11 + list(range(11, 71))


@pytest.mark.parametrize("alone", [False, True])
def test_boilerplate_joins_nothing(alone: bool) -> None:
    """Half of each document is the same; `alone`: that half is also a document."""
    writer = Writer("english", 7)
    disclaimer = writer.pieces(90)
    texts = [writer.join(writer.pieces(80), disclaimer) for _ in range(200)]
    texts += [writer.join(disclaimer)] * alone
    assert len(set(groups(texts))) == len(texts)


@pytest.mark.parametrize("script", SCRIPTS)
def test_unrelated_documents_of_all_lengths_stay_apart(script: str) -> None:
    writer = Writer(script, 8)
    texts = [writer.text(writer.rng.randint(20, 1500)) for _ in range(200)]
    assert groups(texts) == list(range(200))


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(24)))
def test_groups_do_not_depend_on_the_order(order: list[int]) -> None:
    writer = Writer("english", 9)
    texts: list[str] = []
    for _ in range(6):
        text = writer.pieces(60)
        texts += [writer.join(text), writer.join(writer.changed(text)), writer.text(60)]
        texts.append(writer.join(writer.pieces(90), text, writer.pieces(90)))
    together = groups(texts)
    shuffled = groups([texts[at] for at in order])
    pairs = {frozenset((order[a], order[b])) for a, b in enumerate(shuffled) if a != b}
    assert len(set(shuffled)) == len(set(together)) == 12
    assert all(len({together[at] for at in pair}) == 1 for pair in pairs)


@pytest.mark.parametrize("texts", [["", "  "], ["!!!", "..."], ["", "a"], ["\ud800", "\udfff"]])
def test_texts_without_letters(texts: list[str]) -> None:
    assert groups(texts)[0] == 0


def test_short_texts_are_compared_whole() -> None:
    assert groups(["one two", "ONE,two", "one three", "?!", "?!", "!?"]) == [0, 0, 2, 3, 3, 5]


def test_a_large_corpus_is_grouped_in_parts_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer("cyrillic", 10)
    texts = [writer.text(60) for _ in range(60)]
    texts += [f"{text} {writer.text(90)}" for text in texts[:20]]
    expected = groups(texts)
    assert expected == [*range(60), *range(20)]
    for name, value in (("IN_MEMORY", 100), ("SORTED_AT_ONCE", 500), ("HASHED_AT_ONCE", 50)):
        monkeypatch.setattr(duplicates, name, value)
    assert groups(texts) == expected
