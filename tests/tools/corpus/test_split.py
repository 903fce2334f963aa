"""The split: the contract's rule, near-duplicates together, nothing that depends on order."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.corpus.split import (
    SALT,
    DuplicateGroups,
    split_hash,
    split_of,
    split_of_hash,
)
from hubel.tools.errors import UsageError

WORDS = [f"w{n}" for n in range(500)]


def document(seed: int, n_words: int = 120) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=n_words))


def splits(texts: list[str], salt: str = SALT) -> list[str]:
    grouping = DuplicateGroups(salt)
    for text in texts:
        grouping.add(text)
    return list(grouping.splits())


def test_the_rule_is_the_salted_hash_of_the_normalised_text() -> None:
    digest = hashlib.sha256(b"salt\0some text, twice").hexdigest()
    fraction = int(digest[:16], 16) / 2**64
    expected = "explore" if fraction < 0.5 else "select" if fraction < 0.7 else "holdout"
    assert split_of("Some\n  TEXT, twice ", salt="salt") == expected


def test_bounds_of_the_shares() -> None:
    half, seven_tenths = 2**63, 2**64 * 7 // 10
    assert [split_of_hash(place) for place in (0, half - 1, half, seven_tenths, seven_tenths + 1, 2**64 - 1)] == [
        "explore", "explore", "select", "select", "holdout", "holdout",
    ]  # fmt: skip
    assert split_of_hash(2**64 - 1, (100, 0, 0)) == "explore"
    with pytest.raises(UsageError, match="sum to 100"):
        split_of_hash(0, (50, 20, 20))


def test_each_split_has_its_share_of_documents() -> None:
    counts = Counter(split_of(document(seed, 8)) for seed in range(4000))
    for split, share in (("explore", 0.5), ("select", 0.2), ("holdout", 0.3)):
        assert abs(counts[split] / 4000 - share) < 4 * np.sqrt(share * (1 - share) / 4000)


def test_another_salt_gives_another_split() -> None:
    texts = [document(seed) for seed in range(50)]
    assert splits(texts) != splits(texts, salt="another")
    assert splits(texts) == splits(texts, salt=SALT)


@given(st.permutations(range(12)))
def test_the_split_does_not_depend_on_the_order_of_documents(order: list[int]) -> None:
    texts = [document(seed % 9) + (" end" if seed > 8 else "") for seed in range(12)]
    by_text = dict(zip(texts, splits(texts), strict=True))
    shuffled = [texts[at] for at in order]
    assert splits(shuffled) == [by_text[text] for text in shuffled]


@given(st.integers(0, 10_000))
def test_near_duplicates_go_together(seed: int) -> None:
    original = document(seed, 400)
    words = original.split()
    words[200] = "changed"
    texts = [original, " ".join(words), original.upper() + "\n", document(seed + 1, 400)]
    parts = splits(texts)
    assert parts[0] == parts[1] == parts[2]
    smallest = min(texts[:3], key=split_hash)
    assert parts[0] == split_of(smallest)
    assert parts[3] == split_of(texts[3])


def test_unrelated_documents_stay_apart() -> None:
    grouping = DuplicateGroups()
    for seed in range(300):
        grouping.add(document(seed))
    assert len(set(grouping.groups)) == 300
