"""A made-up unit on made-up text whose right explanation is known, for scorers: it fires on two words, one weakly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hubel.evals.floors import ExploreSignal, fit_floor_predictions
from hubel.evals.scorers.registry import ScoringTask
from hubel.evals.scorers.resources import ConfusableUnit, ScorerResources, TokenEffect
from hubel.evals.scorers.windows import TokenText
from hubel.evals.statistics.sample import Sample

VOCABULARY = [" apple", " pear", *(f" word{i}" for i in range(198))]
EXPLANATION = "the words apple and pear"


def predict(tokens: np.ndarray, length: np.ndarray | None = None) -> np.ndarray:
    """The right predicate."""
    return np.where(tokens == 0, 2.0, 0.0) + np.where(tokens == 1, 1.0, 0.0)


def tokens_of(text: str) -> np.ndarray:
    ids = {token.strip(): i for i, token in enumerate(VOCABULARY)}
    return np.array([ids.get(word.strip('.,:"'), 199) for word in text.split()])


def make_task(
    seed: int = 0, contexts: int = 300, noise: float = 0.002, documents: int = 50, **changes
) -> ScoringTask:
    """Holdout of a planted unit with the right explanation, everything that scorers may need, and no judge."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(0, len(VOCABULARY), (2 * contexts, 64))
    tokens[:, ::7] = rng.integers(0, 40, tokens[:, ::7].shape)
    true = predict(tokens) + noise * rng.standard_normal(tokens.shape)
    mask = np.broadcast_to(np.arange(64) > 0, tokens.shape)
    document = np.arange(2 * contexts) % documents
    explore, holdout = slice(0, contexts), slice(contexts, None)
    sample = Sample(predict(tokens[holdout]), true[holdout], mask[holdout], document[holdout])
    rivals = fit_floor_predictions(
        ExploreSignal(tokens[explore], true[explore], mask[explore]), tokens[holdout]
    )
    other = np.where(tokens[holdout] == 20, 1.0, 0.0)
    neighbour = ConfusableUnit(
        "mlp.0.2", np.where((tokens[holdout] >= 30) & (tokens[holdout] < 33), 1.0, 0.0)
    )
    resources = ScorerResources(
        activations_on=_fire, loss=_loss, predict=predict, effects=_effects, neighbours=[neighbour]
    )
    task = ScoringTask(
        sample,
        "holdout",
        replace(rivals, other=other),
        seed,
        EXPLANATION,
        TokenText(tokens[holdout], np.full(contexts, 64), VOCABULARY),
        calibration=Sample(
            predict(tokens[explore]), true[explore], mask[explore], document[explore]
        ),
        resources=resources,
    )
    return replace(task, **changes)


def _fire(texts: Sequence[str]) -> list[np.ndarray]:
    return [predict(tokens_of(text))[1:] for text in texts]


def _loss(prefixes: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """Words that the prefix holds are expected."""
    pairs = [(prefix.split(), text.split()) for prefix, text in zip(prefixes, texts, strict=True)]
    return np.array(
        [5.0 - sum(word in prefix for word in text) / max(len(text), 1) for prefix, text in pairs]
    )


def _effects(
    contexts: Sequence[np.ndarray], positions: Sequence[np.ndarray]
) -> list[list[TokenEffect]]:
    return [
        [TokenEffect((0, 1, 3), (7, 8)), TokenEffect((20, 21), (9,)), TokenEffect((30, 31), (6,))]
        for _ in contexts
    ]


class Oracle:
    """A judge that knows: it answers by whether apple or pear stands in (or is marked in) an example."""

    def __init__(self, logprobs: bool = False) -> None:
        self.logprobs = logprobs
        self.requests = []

    def ask(self, request):
        from hubel.evals.judge.protocol import ChatAnswer, TokenChoice, Usage

        self.requests.append(request)
        answers = [self._say(request.prompt, example) for example in examples_in(request.user)]
        if request.prompt.startswith("generative"):
            answers = [
                f"once the word{i} {'apple' if 'apple' in request.user else 'word3'} fell"
                for i in range(20)
            ]
        lines = [f"{number}: {answer}" for number, answer in enumerate(answers, 1)]
        text = "\n".join(lines)
        if not self.logprobs:
            return ChatAnswer(text, usage=Usage(100, 10))
        tokens = [
            choice
            for number, answer in enumerate(answers, 1)
            for choice in (
                TokenChoice(("" if number == 1 else "\n") + f"{number}:", {}),
                TokenChoice(
                    f" {answer}",
                    {" 1": -0.1 if answer == "1" else -3.0, " 0": -0.1 if answer == "0" else -3.0},
                ),
            )
        ]
        return ChatAnswer(text, logprobs=tokens)

    def _say(self, prompt: str, example: str) -> str:
        if prompt.startswith("detection"):
            return str(int(_fruit(example)))
        if prompt.startswith("fuzzing"):
            return str(int(any(_fruit(part.split(">>")[0]) for part in example.split("<<")[1:])))
        options = example.strip().split("\n")
        if prompt.startswith("intruder"):
            odd = [not any(_fruit(p.split(">>")[0]) for p in o.split("<<")[1:]) for o in options]
            return "ABCDE"[odd.index(True) if True in odd else 0]
        return "ABC"[max(range(len(options)), key=lambda i: _fruit(options[i]))]


def _fruit(text: str) -> bool:
    return "apple" in text or "pear" in text


def examples_in(user: str) -> list[str]:
    """The examples of a request, as the judge sees them."""
    import re

    if "========" not in user:
        return []
    inside = re.split(r"(?m)^======== \w{12} ========$", user)[1].strip("\n")
    return re.split(r"(?:^|\n)\d+\. ", inside)[1:]
