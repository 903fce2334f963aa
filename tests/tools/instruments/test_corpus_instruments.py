"""Search, co-activation and token facts against naive passes over the corpus."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Document, corpus_from_documents
from hubel.tools.errors import ArgumentError
from hubel.tools.index import Index, build_index
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.corpus_search import CorpusSearch
from hubel.tools.instruments.similar_units.by_coactivation import Coactivating
from hubel.tools.instruments.tokenization import TokenFacts
from hubel.tools.subject import Site, Unit
from hubel.tools.subject.token_text import join_tokens
from tests.support.tiny import tiny_subject

TEXTS = ["Monday the cat said in the river bank", "a very red dog was told of 1999", "the city is not blue",
         "Friday a cat said very red to the bank"]  # fmt: skip


def searched(context: InstrumentContext, **arguments: Any) -> CorpusSearch:
    result = call("corpus.search", {"unit": "mlp.2.7", "pattern": "cat", **arguments}, context)
    assert isinstance(result, CorpusSearch)
    return result


def test_every_match_is_found_with_what_the_unit_does_there(
    indexed: InstrumentContext, naive: dict
) -> None:
    result = searched(indexed, k=20, most=300)
    contexts, strings = (
        indexed.require_index().contexts("explore"),
        indexed.require_index().vocabulary,
    )
    values = naive[Site("mlp", 2)][..., 7]
    expected = [
        (float(values[row, at]), row, at)
        for row, ids in enumerate(contexts.tokens)
        for at in range(1, int(contexts.length[row]))
        if strings[ids[at]].strip() == "cat"
    ]
    assert result.n_matches == len(expected)
    assert result.n_contexts == result.n_read == len({row for _, row, _ in expected})
    assert result.mean == pytest.approx(np.mean([v for v, _, _ in expected]), rel=1e-3)
    expected.sort(key=lambda match: -abs(match[0]))
    assert [m.activation for m in result.strongest] == pytest.approx(
        [v for v, _, _ in expected[:20]], rel=1e-3
    )
    assert [m.activation for m in result.weakest] == pytest.approx(
        [v for v, _, _ in expected[20:][::-1]], rel=1e-3
    )
    assert all(m.tokens[p].strip() == "cat" for m in result.strongest for p in m.positions)
    usual = indexed.require_index().statistics(Unit.parse("mlp.2.7"))
    assert result.fires["+"] == pytest.approx(
        np.mean([v >= usual.q90 for v, _, _ in expected]), abs=1e-4
    )
    assert result.fires["-"] == pytest.approx(
        np.mean([v <= usual.q10 for v, _, _ in expected]), abs=1e-4
    )


def test_a_side_tells_of_that_side(indexed: InstrumentContext) -> None:
    result = searched(indexed, unit="mlp.2.7-")
    assert set(result.fires) == {"-"}
    assert all(m.activation >= 0 for m in result.strongest)


def test_a_regular_expression_may_span_tokens(indexed: InstrumentContext) -> None:
    result = searched(indexed, pattern=r"\bcat (?:dog|city)\b", regex=True, most=300)
    assert result.n_matches > 0
    for match in result.strongest:
        assert (
            re.fullmatch(r" ?cat (?:dog|city)", "".join(match.tokens[p] for p in match.positions))
            or 1 in match.positions
        )
    assert (
        searched(indexed, pattern="catalogue").render()
        == 'nothing in the corpus matches "catalogue"'
    )
    assert searched(indexed, pattern="ca").n_matches == 0, "words match whole"


def test_few_contexts_are_spread_over_all(indexed: InstrumentContext) -> None:
    result = searched(indexed, most=3)
    assert (result.n_read, result.n_contexts > 3) == (3, True)
    assert "strongest:" in result.render()


def correlated(context: InstrumentContext, **arguments: Any) -> Coactivating:
    result = call("coactivating", {"unit": "mlp.1.5", "k": 10, **arguments}, context)
    assert isinstance(result, Coactivating)
    return result


@pytest.mark.parametrize("unit", ["mlp.1.5", "mlp.1.5-", "head.1.2"])
def test_correlations_are_those_of_every_token(indexed: InstrumentContext, unit: str) -> None:
    subject, address = indexed.require_subject(), Unit.parse(unit)
    rows: list[np.ndarray] = []
    for text in TEXTS:
        ids = torch.tensor([subject.tokenize(text).ids])
        signal = address.signal(subject.unit_activations(ids, [address.unsided])[0, 0, 1:].numpy())
        neurons = [
            subject.capture(ids, [Site("mlp", n)]).activations[Site("mlp", n)][0, 1:].numpy()
            for n in range(3)
        ]
        rows.append(np.concatenate([signal[:, None], *neurons], axis=1))
    r = np.corrcoef(np.concatenate(rows).T)[0, 1:]
    names = [f"mlp.{i // 24}.{i % 24}" for i in range(72)]
    expected = sorted(
        ((v, n) for v, n in zip(r, names, strict=True) if n != str(address.unsided)), reverse=True
    )
    result = correlated(indexed, unit=unit, texts=TEXTS)
    assert [c.unit for c in result.together] == [n for _, n in expected[:10]]
    assert [c.r for c in result.together] == pytest.approx([v for v, _ in expected[:10]], abs=1e-4)
    assert [c.unit for c in result.opposed] == [n for _, n in expected[::-1][:10]]
    assert result.n_tokens == sum(len(row) for row in rows)
    assert result.compared == 72


def test_without_texts_the_corpus_is_taken(indexed: InstrumentContext) -> None:
    result = correlated(indexed, contexts=9)
    assert result.texts == "the corpus"
    assert 9 * 8 <= result.n_tokens <= 9 * 15
    assert "r +" in result.render()
    again = correlated(indexed, contexts=9)
    assert again == result


def test_tokens_are_described_as_the_tokenizer_cuts_them(indexed: InstrumentContext) -> None:
    result = call("tokens.describe", {"words": ["cat", "zebra"], "k": 3}, indexed)
    assert isinstance(result, TokenFacts)
    cat, zebra = result.words
    assert (cat.behind_space.tokens, len(zebra.behind_space.tokens)) == ([" cat"], 6)
    contexts, subject = indexed.require_index().contexts("explore"), indexed.require_subject()
    (token,) = subject.tokenize(" cat").ids
    count = sum(
        row[: int(n)].tolist().count(token)
        for row, n in zip(contexts.tokens, contexts.length, strict=True)
    )
    assert cat.behind_space.count == count
    weight = subject.model.get_input_embeddings().weight
    cosines = torch.nn.functional.cosine_similarity(weight, weight[token][None])
    best = [i for i in cosines.argsort(descending=True).tolist() if i != token][:3]
    assert cat.neighbours == [subject.token_strings()[i] for i in best]
    assert '" cat" one token' in result.render()
    bare = call("tokens.describe", {"words": ["cat"]}, InstrumentContext(subject))
    assert isinstance(bare, TokenFacts)
    assert bare.words[0].behind_space.count is None


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        (
            "corpus.search",
            {"unit": "mlp.2.7", "pattern": "(", "regex": True},
            "not an RE2 expression",
        ),
        ("corpus.search", {"unit": "mlp.9.7", "pattern": "cat"}, "layers 0 to 2"),
        ("coactivating", {"unit": "mlp.1.99"}, "units 0 to 23"),
        ("coactivating", {"unit": "mlp.1.5", "texts": ["a cat"]}, "give at least 20"),
        ("tokens.describe", {"words": []}, "words: "),
    ],
)
def test_invalid_arguments_of_corpus_instruments_are_refused_with_a_hint(
    indexed: InstrumentContext, name: str, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        call(name, arguments, indexed)


SCRIPTS = (
    "the cat said naïve “日本語” on Monday – 😀 and blue",
    "the dog met Ωμέγα and Ёлка near cafe\u0301 Müller, ships",
    "สวัสดีครับ the cat snake_case 한국어 بيت the sea",
)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> InstrumentContext:
    subject = tiny_subject()
    rng = np.random.default_rng(0)  # what follows the text makes the documents different
    rest = ["".join(rng.choice(list("bcdfg hjklm"), 500)) for _ in range(45)]
    documents = tuple(Document(str(i), f"{SCRIPTS[i % 3]} {rest[i]}") for i in range(45))
    corpus = corpus_from_documents("scripts", documents, "0" * 64)
    path = tmp_path_factory.mktemp("scripts") / "idx"
    build_index(subject, corpus, path, sites=("mlp",), context_len=128)
    return InstrumentContext(subject, Index.open(path))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("naïve", 0), ("NAÏVE", 0), ("日本語", 0), ("日", 0), ("本", 0), ("“日本語”", 0), ("😀", 0), ("–", 0),
        ("Monday – 😀", 0), ("Ωμέγα", 1), ("ωμέγα", 1), ("Ёлка", 1), ("caf\u00e9", 1), ("cafe\u0301", 1),
        ("müller", 1), ("สวัสดี", 2), ("ครับ", 2), ("한국어", 2), ("بيت", 2), ("snake_case", 2),
        ("<0xE6><0x97>", 0), ("<0xA5>", 0), ("<0xF0>", 0), (" Monday", 0),
    ],
)  # fmt: skip
def test_text_of_any_script_is_found(scripts: InstrumentContext, pattern: str, found: int) -> None:
    result = call("corpus.search", {"unit": "mlp.1.5", "pattern": pattern, "most": 300}, scripts)
    assert isinstance(result, CorpusSearch)
    rows = scripts.require_index().contexts("explore")
    strings = scripts.require_subject().token_strings()
    texts = [
        join_tokens(strings[token] for token in row[:length])
        for row, length in zip(rows.tokens.tolist(), rows.length.tolist(), strict=True)
    ]
    expected = [number for number, text in enumerate(texts) if SCRIPTS[found] in text]
    assert result.n_contexts == len(expected) > 5
    assert {match.context for match in result.strongest} <= set(expected)
    shown = "".join(result.strongest[0].tokens[p] for p in result.strongest[0].positions)
    if "<0x" in pattern:
        assert pattern in shown


@pytest.mark.parametrize("pattern", ["aïv", "aïve", "naïv", "μέγ", "case", "snake", "국어", "cafe"])
def test_a_part_of_a_word_does_not_match(scripts: InstrumentContext, pattern: str) -> None:
    result = call("corpus.search", {"unit": "mlp.1.5", "pattern": pattern}, scripts)
    assert isinstance(result, CorpusSearch)
    assert result.n_contexts == 0
    found = call("corpus.search", {"unit": "mlp.1.5", "pattern": pattern, "regex": True}, scripts)
    assert isinstance(found, CorpusSearch)
    assert found.n_contexts > 5
