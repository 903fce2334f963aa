"""Yes-or-no decisions about shown windows, by a chat model or by the predicate: what detection and its kin share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..judge.ask import JudgeChoice, ask_examples
from ..judge.protocol import Unscorable
from ..score import Floors, Score
from ..statistics.bootstrap import Interval
from .classification import LabelledExamples, auroc, balanced_accuracy
from .registry import ScoringTask

CHOICES = ("0", "1")


class Decisions(NamedTuple):
    """What was said of each example."""

    yes: Bool[np.ndarray, " examples"]
    grade: Float[np.ndarray, " examples"] | None
    """How surely, where that is known: a predicted activation, or a judge's probability of "yes"."""


DecideFromPrediction = Callable[[Float[np.ndarray, "contexts seq"]], Decisions]
"""Takes the decisions from a prediction at every token."""


class DecisionQuestion(NamedTuple):
    """Labelled examples with both ways to decide about them."""

    items: LabelledExamples
    batches: Sequence[Int[np.ndarray, " batch"]]
    example_text: Callable[[int], str]
    """An example's text."""
    from_prediction: DecideFromPrediction
    prompt: str = "detection"


def make_decisions(task: ScoringTask, question: DecisionQuestion) -> Decisions:
    """The decisions of the task's judge, or of its predicate where there is no judge."""
    if task.chat is not None:
        return _by_chat(task, question)
    if not task.predicts:
        raise Unscorable("an explanation in words only: needs a judge")
    return question.from_prediction(task.sample.predicted)


def _by_chat(task: ScoringTask, question: DecisionQuestion) -> Decisions:
    assert task.chat is not None
    answers: dict[int, JudgeChoice] = {}
    for batch in question.batches:
        shown = [question.example_text(int(i)) for i in batch]
        found = ask_examples(
            task.chat, question.prompt, shown, CHOICES, explanation=one_line(task.explanation)
        )
        answers |= dict(zip(batch.tolist(), found, strict=True))
    ordered = [answers[i] for i in range(len(question.items.label))]
    weights = [answer.weights for answer in ordered]
    grade = np.array([w[1] for w in weights if w is not None]) if None not in weights else None
    return Decisions(np.array([answer.choice == 1 for answer in ordered]), grade)


def one_line(text: str) -> str:
    """An explanation as a judge reads it: one line, whatever it holds."""
    return " ".join(text.split())[:2000]


def decision_scores(
    name: str, task: ScoringTask, question: DecisionQuestion, decisions: Decisions
) -> list[Score]:
    """Balanced accuracy, and AUROC where there are grades, with the floors of both."""
    items = question.items
    said = balanced_accuracy(decisions.yes, items, task.seed)
    floors = decision_floors(
        task,
        lambda predicted: balanced_accuracy(
            question.from_prediction(predicted).yes, items, task.seed
        ),
    )
    scores = [Score(name, task.split, "top_and_random", *said, floors)]
    if decisions.grade is not None:
        graded = auroc(decisions.grade, items, task.seed)
        floors = decision_floors(
            task,
            lambda predicted: auroc(_grade(question.from_prediction(predicted)), items, task.seed),
        )
        scores.append(Score(f"{name}.auroc", task.split, "top_and_random", *graded, floors))
    return scores


def _grade(decisions: Decisions) -> Float[np.ndarray, " examples"]:
    assert decisions.grade is not None
    return decisions.grade


def decision_floors(
    task: ScoringTask, value: Callable[[np.ndarray], Interval], chance: float = 0.5
) -> Floors:
    """The same decision taken from each rival prediction.

    *shuffled* is chance: decisions that are dealt out anew among the examples are right that often,
    on average.
    """
    rivals = task.floor_predictions

    def of(predicted: np.ndarray | None) -> float | None:
        return None if predicted is None else value(predicted).value

    trivial: Mapping[str, float | None] = {
        name: of(predicted) for name, predicted in rivals.trivial.items()
    }
    best = max([chance, *(v for v in trivial.values() if v is not None)]) if trivial else None
    return Floors(chance, chance, of(rivals.other), of(rivals.token_lookup), best)
