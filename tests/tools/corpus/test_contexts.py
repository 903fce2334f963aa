"""Contexts: no crossing of documents, no token lost, and the split of the document."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubel.tools.corpus import Contexts, Document, make_contexts
from hubel.tools.corpus import contexts as contexts_module
from hubel.tools.corpus.split import SPLITS, split_of
from hubel.tools.errors import UsageError


def tokenize(text: str) -> list[int]:
    return [ord(character) for character in text]


def contexts_of(texts: list[str], **options: Any) -> Contexts:
    documents = [Document(str(n), text) for n, text in enumerate(texts)]
    return make_contexts(documents, tokenize, **options)


def document_text(contexts: Contexts, document: int) -> str:
    rows = np.flatnonzero(contexts.document == document)
    return "".join(chr(t) for row in rows for t in contexts.tokens[row, : contexts.length[row]])


documents = st.lists(
    st.text(st.characters(codec="utf-8", min_codepoint=1), min_size=1, max_size=40), min_size=1
)


@given(documents, st.integers(2, 9))
def test_documents_come_back_whole(texts: list[str], context_len: int) -> None:
    contexts = contexts_of(texts, context_len=context_len)
    assert [document_text(contexts, n) for n in range(len(texts))] == texts
    assert (
        contexts.n_tokens == sum(map(len, texts)) == sum(row.n_tokens for row in contexts.documents)
    )
    assert (contexts.length >= 1).all()
    assert ((contexts.tokens != 0) == (np.arange(context_len) < contexts.length[:, None])).all()


@given(documents)
def test_every_context_is_in_its_documents_split(texts: list[str]) -> None:
    contexts = contexts_of(texts, context_len=4)
    for document, split in zip(contexts.document, contexts.split, strict=True):
        assert contexts.documents[document].split == SPLITS[split]
    assert sorted(np.concatenate([contexts.rows_of(split) for split in SPLITS])) == list(
        range(len(contexts))
    )


def test_the_split_is_the_rules() -> None:
    texts = [f"document {n} about {n * 17 % 23}" for n in range(40)]
    assert [row.split for row in contexts_of(texts).documents] == [split_of(text) for text in texts]


def test_position_zero_and_padding_are_masked() -> None:
    contexts = contexts_of(["abcdefg"], context_len=4)
    assert contexts.length.tolist() == [4, 3]
    assert contexts.mask.tolist() == [[False, True, True, True], [False, True, True, False]]


@pytest.mark.parametrize(
    ("max_tokens", "kept"), [(2, [2]), (5, [5]), (7, [5, 2]), (12, [5, 5, 2]), (None, [5] * 5)]
)
def test_max_tokens_is_a_prefix_of_the_corpus(max_tokens: int | None, kept: list[int]) -> None:
    contexts = contexts_of(
        ["abcde", "fghij", "klmno", "pqrst", "uvwxy"], context_len=4, max_tokens=max_tokens
    )
    assert [row.n_tokens for row in contexts.documents] == kept


def test_documents_without_tokens_are_left_out() -> None:
    assert [row.id for row in contexts_of(["", "abc", ""]).documents] == ["1"]
    with pytest.raises(UsageError, match="no tokens"):
        contexts_of(["", ""])


def test_impossible_lengths_are_refused() -> None:
    for wrong in (0, 1, 2**16):
        with pytest.raises(UsageError, match="context length"):
            contexts_of(["abc"], context_len=wrong)
    with pytest.raises(UsageError, match="max_tokens"):
        contexts_of(["abc"], max_tokens=1)


def test_a_large_corpus_lies_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"document {n} " * (n % 7 + 1) for n in range(60)]
    small = contexts_of(texts, context_len=8)
    monkeypatch.setattr(contexts_module, "IN_MEMORY", 1000)
    large = contexts_of(texts, context_len=8)
    assert isinstance(large.tokens, np.memmap)
    assert (large.tokens == small.tokens).all()
    assert (large.length == small.length).all()
