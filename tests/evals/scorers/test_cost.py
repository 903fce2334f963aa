"""What explaining and scoring one unit costs, counted by the real subject's tokenizer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hubel.evals.judge.offline import ConstantJudge
from hubel.evals.judge.protocol import ChatAnswer, ChatRequest, CountingChat, Usage
from hubel.evals.scorers.registry import ScoringTask
from hubel.evals.scorers.score_all import score_all
from hubel.evals.scorers.windows import TokenText
from hubel.evals.statistics.sample import Sample
from tests.support.fruit import examples_in
from tests.support.oneshot import explain_once

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

MOST_TOKENS = 12_000
"""Prompt tokens of explain, detection and fuzzing at delphi's sample sizes, where delphi takes 36,600 in 41 calls."""


class TokenCountingJudge:
    """Answers yes to everything and counts prompts with a tokenizer."""

    def __init__(self, count) -> None:
        self.count, self.requests = count, []

    def ask(self, request: ChatRequest) -> ChatAnswer:
        self.requests.append(request)
        text = (
            "words"
            if request.prompt.startswith("explain")
            else ConstantJudge("yes").ask(request).text
        )
        return ChatAnswer(
            text, usage=Usage(self.count(request.system + request.user), self.count(text))
        )


@pytest.mark.slow
@pytest.mark.subject
def test_explaining_and_scoring_a_unit_takes_few_prompt_tokens(subject: Subject):
    from hubel.tools.corpus import first_documents, make_contexts, read_corpus
    from hubel.tools.subject.address import Unit

    contexts = make_contexts(
        first_documents(read_corpus("lee-news"), 100).documents,
        lambda text: subject.tokenize(text).ids,
    )
    rows = np.flatnonzero(contexts.length > 40)[:250]
    units = [Unit.parse("mlp.1.100"), Unit.parse("mlp.3.1352-")]
    ids = torch.tensor(contexts.tokens[rows].astype(np.int64))
    raw = (
        torch.cat([subject.unit_activations(part, units) for part in ids.split(50)], dim=1)
        .cpu()
        .numpy()
    )
    for unit, activations in zip(units, raw, strict=True):
        counting = TokenCountingJudge(lambda text: len(subject.tokenize(text).ids))
        task = case_of(subject, contexts, rows, unit.signal(activations))
        assert task.token_text is not None
        explain_once(counted := CountingChat(counting), task.sample, task.token_text)
        outcomes = score_all(replace(task, chat=counted), ["detection", "fuzzing"])
        examples_per_request = [len(examples_in(request.user)) for request in counting.requests]
        assert examples_per_request == [
            40,
            50,
            50,
            50,
            50,
        ]  # delphi: 40 to explain, 100 for each scorer
        assert [outcome.value for outcome in outcomes] == [0.5, 0.5]
        assert counted.cost.calls == 5
        assert counted.cost.input_tokens <= MOST_TOKENS


def case_of(subject: Subject, contexts, rows: np.ndarray, signal: np.ndarray) -> ScoringTask:
    printed = TokenText(contexts.tokens[rows], contexts.length[rows], subject.token_strings())
    sample = Sample(np.zeros_like(signal), signal, contexts.mask[rows], contexts.document[rows])
    return ScoringTask(
        sample, "holdout", explanation="words " * 40, token_text=printed, predicts=False
    )
