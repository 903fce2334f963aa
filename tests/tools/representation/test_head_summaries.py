"""Summaries of attention against naive loops, and of a model whose heads are set by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.studies.representation.attention import attention
from hubel.studies.study_context import StudyContext
from hubel.tools.errors import UsageError
from hubel.tools.representation.head_summaries import first_tokens, head_summaries, summarise
from tests.support.handmade import induction_model, subject_of
from tests.support.tiny import tiny_subject
from tests.support.tiny_encoder import tiny_encoder


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_naive_loop_gives_the_same(bidirectional: bool) -> None:
    n = 7
    pattern = np.random.default_rng(0).random((n, n))
    pattern = pattern if bidirectional else np.tril(pattern)
    pattern /= pattern.sum(1, keepdims=True)
    entropies, distances, sinks, previous = [], [], [], []
    for query in range(1, n - 1 if bidirectional else n):
        row = pattern[query]
        entropies.append(-sum(p * np.log(p) for p in row if p > 0))
        distances.append(sum(p * abs(query - key) for key, p in enumerate(row)))
        sinks.append(row[0] + (row[-1] if bidirectional else 0))
        previous += [row[query - 1]] if query > 2 else []
    summary = summarise(pattern, bidirectional=bidirectional)
    expected = {"entropy": entropies, "distance": distances, "sink": sinks, "previous": previous}
    for name, values in expected.items():
        assert summary[name] == pytest.approx(np.mean(values)), name


def test_a_hand_built_previous_token_head_has_score_one() -> None:
    subject = subject_of(induction_model())
    texts = [[12, 3, 9, 1, 5, 2, 7]]
    (summary,) = head_summaries(subject, texts)
    assert summary["previous"][0, 0, 0] == pytest.approx(1, abs=1e-6)
    assert summary["entropy"][0, 0, 0] == pytest.approx(0, abs=1e-4)


def test_a_text_of_three_tokens_is_refused() -> None:
    with pytest.raises(UsageError, match="summarised over 4 or more"):
        summarise(np.eye(3), bidirectional=False)


def test_the_first_tokens_of_an_encoder_end_with_its_separator() -> None:
    encoder, text = tiny_encoder(), "the cat was red . " * 4
    ids = first_tokens(encoder, text, 8)
    assert (len(ids), ids[0], ids[-1]) == (8, 2, 3)
    assert first_tokens(tiny_subject(), "the cat", 1) == tiny_subject().tokenize("the cat").ids[:1]


@pytest.mark.parametrize("make", [tiny_subject, tiny_encoder])
def test_the_study_reads_both_kinds_of_subject(make: object, tmp_path: object) -> None:
    subject = make()  # type: ignore[operator]
    corpus = tmp_path / "corpus.txt"  # type: ignore[operator]
    words = ["the", "a", "cat", "dog", "river", "bank", "was", "not", "very", "red", "blue"]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 30)) for _ in range(12)]
    corpus.write_text("\n\n".join(texts))
    result = attention(StudyContext([subject]), str(corpus), documents=8, tokens=16)
    assert len(result.rows) == 12
    assert [claim.n for claim in result.claims] == [8, 4, 8]
    with pytest.raises(UsageError, match="fewer --tokens"):
        attention(StudyContext([subject]), str(corpus), documents=8, tokens=400)
    assert torch.is_grad_enabled()
