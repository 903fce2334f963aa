"""Log probabilities against a loop that reads one text at a time, one token after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.behaviour import (
    continuation_probabilities,
    next_token_log_probs,
    text_probabilities,
)
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Unit
from hubel.tools.subject.capture import Capture
from hubel.tools.subject.interventions import Intervention
from hubel.tools.subject.subject import Subject

TEXTS = [
    "a cat told the dog of the year 1999",
    "the bank",
    "on Monday the dog was not in the city, it was by the river",
    "Zebra quagga",
    "the bank of the river",
]


def naive(subject: Subject, ids: list[int], first: int) -> list[float]:
    """log p of each token from `first` on, by one pass for each prefix."""
    scores = []
    for place in range(first, len(ids)):
        logits = subject.model(torch.tensor([ids[:place]])).logits[0, -1].double()
        scores.append(float(logits.log_softmax(-1)[ids[place]]))
    return scores


def test_equals_a_loop_over_texts_and_prefixes(tiny: Subject) -> None:
    scored = text_probabilities(tiny, TEXTS)
    for text, result in zip(TEXTS, scored.texts, strict=True):
        ids = tiny.tokenize(text).ids
        expected = naive(tiny, ids, 1)
        assert np.allclose(result.log_probs, expected, atol=1e-4)
        assert result.total == pytest.approx(sum(expected), abs=1e-4)
        assert result.mean == pytest.approx(np.mean(expected), abs=1e-4)
        assert result.tokens == tuple(tiny.token_strings()[i] for i in ids[1:])


def test_a_start_token_gives_the_first_token_a_probability(tiny: Subject) -> None:
    (scored,) = text_probabilities(tiny, [TEXTS[0]], start=7).texts
    assert np.allclose(
        scored.log_probs, naive(tiny, [7, *tiny.tokenize(TEXTS[0]).ids], 1), atol=1e-4
    )


def test_surprisals_of_all_texts_of_two_tokens_are_a_distribution(tiny: Subject) -> None:
    log_probs = next_token_log_probs(tiny, [tiny.tokenize("the").ids])
    assert np.exp(log_probs.astype(np.float64)).sum() == pytest.approx(1, abs=1e-5)
    (scored,) = continuation_probabilities(tiny, ["the"], [" cat"]).texts
    (cat,) = tiny.tokenize(" cat").ids
    assert scored.total == pytest.approx(float(log_probs[0, cat]), abs=1e-5)


def test_prefix_and_continuation_add_up_to_the_text(tiny: Subject) -> None:
    prefix, continuation = "a cat told the dog", " of the year 1999"
    whole = text_probabilities(tiny, [prefix + continuation, prefix]).totals
    (part,) = continuation_probabilities(tiny, [prefix], [continuation]).totals
    assert whole[0] == pytest.approx(whole[1] + part, abs=1e-4)


def test_answers_to_one_prompt_share_a_pass(tiny: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    original = Subject.capture

    def counted(self: Subject, ids: torch.Tensor, *args: Any, **options: Any) -> Capture:
        rows.append(len(ids))
        return original(self, ids, *args, **options)

    monkeypatch.setattr(Subject, "capture", counted)
    answers = [" cat", " dog", " city"]
    scored = continuation_probabilities(tiny, ["the red"] * 3, answers)
    assert sum(rows) == 1
    for answer, total in zip(answers, scored.totals, strict=True):
        ids = tiny.tokenize("the red" + answer).ids
        assert total == pytest.approx(naive(tiny, ids, len(ids) - 1)[0], abs=1e-4)


def test_a_token_across_the_border_is_counted(tiny: Subject) -> None:
    assert continuation_probabilities(tiny, ["the ri"], ["ver"]).n_joined == 1
    # a space at the end of the prefix goes to the next word, as the subject would read it
    spaced = continuation_probabilities(tiny, ["the "], ["river"])
    assert spaced.n_joined == 0
    assert spaced.texts[0].tokens == (" river",)


def test_long_texts_are_an_error_or_cut_with_a_count(tiny: Subject) -> None:
    long = "the cat" + " the cat" * 99
    with pytest.raises(
        UsageError, match=r"text 1 has 20. tokens and the subject reads at most 128"
    ):
        text_probabilities(tiny, ["the cat", long])
    scored = text_probabilities(tiny, ["the cat", long], too_long="cut")
    assert scored.n_cut == 1
    assert len(scored.texts[1].log_probs) == 127
    with pytest.raises(UsageError, match="reads at most 128"):
        continuation_probabilities(tiny, [long], [" dog"])
    cut = continuation_probabilities(tiny, [long], [" dog"], too_long="cut")
    started = continuation_probabilities(tiny, [long], [" dog"], start=7, too_long="cut")
    ids = tiny.tokenize(long + " dog").ids[-128:]
    assert cut.n_cut == 1
    assert cut.totals[0] == pytest.approx(naive(tiny, ids, 127)[0], abs=1e-4)
    assert started.totals[0] == pytest.approx(naive(tiny, [7, *ids[1:]], 127)[0], abs=1e-4)
    with pytest.raises(UsageError, match="no room"):
        continuation_probabilities(tiny, ["the"], [" cat" * 200], too_long="cut")


@pytest.mark.parametrize(("prefix", "continuation"), [("", "the"), ("the", ""), ("", "")])
def test_nothing_to_score_is_an_error(tiny: Subject, prefix: str, continuation: str) -> None:
    with pytest.raises(UsageError, match="give a"):
        continuation_probabilities(tiny, [prefix], [continuation])
    with pytest.raises(UsageError, match="no token to score"):
        text_probabilities(tiny, [""])


def test_interventions_reach_the_scores(tiny: Subject) -> None:
    zeroed = Intervention(Unit.parse("mlp.1.5"), "zero")
    plain = text_probabilities(tiny, TEXTS).totals
    edited = text_probabilities(tiny, TEXTS, edit=lambda _: [zeroed]).totals
    same = text_probabilities(tiny, TEXTS, edit=lambda _: []).totals
    assert (np.abs(edited - plain) > 1e-3).all()
    assert np.allclose(same, plain, atol=1e-4)
