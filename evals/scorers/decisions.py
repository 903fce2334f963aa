"""Yes-or-no decisions about windows, by a judge or by the predicate, for several scorers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..judge.ask import JudgeChoice, ask_examples
from ..judge.protocol import answer_each
from ..score import Floors, Score
from ..statistics.bootstrap import Interval
from .classification import LabelledExamples, auroc, balanced_accuracy
from .registry import ScoringTask
from .resources import in_words_only

CHOICES = ("0", "1")


class Decisions(NamedTuple):
    """Yes or no for each example."""

    yes: Bool[np.ndarray, " examples"]
    grade: Float[np.ndarray, " examples"] | None
    """How sure, if known: the predicted activation, or a judge's probability of "yes"."""


DecideFromPrediction = Callable[[Float[np.ndarray, "contexts seq"]], Decisions]
"""Takes the decisions from a prediction at every token."""


class DecisionQuestion(NamedTuple):
    """Labelled examples, with both ways to decide about them."""

    examples: LabelledExamples
    batches: Sequence[Int[np.ndarray, " batch"]]
    example_text: Callable[[int], str]
    from_prediction: DecideFromPrediction
    prompt: str = "detection"


def make_decisions(task: ScoringTask, question: DecisionQuestion) -> Decisions:
    """The decisions of the task's judge; without a judge, those of its predicate."""
    if task.chat is not None:
        return _by_chat(task, question)
    if not task.predicts:
        raise in_words_only("a judge")
    return question.from_prediction(task.sample.predicted)


def _by_chat(task: ScoringTask, question: DecisionQuestion) -> Decisions:
    chat = task.chat
    assert chat is not None

    def ask(batch: Int[np.ndarray, " batch"]) -> list[JudgeChoice]:
        texts = [question.example_text(int(i)) for i in batch]
        return ask_examples(chat, question.prompt, texts, CHOICES, explanation=task.sentence)

    answers: dict[int, JudgeChoice] = {}
    for batch, choices in zip(question.batches, answer_each(ask, question.batches), strict=True):
        answers |= dict(zip(batch.tolist(), choices, strict=True))
    ordered = [answers[i] for i in range(len(question.examples.label))]
    weights = [answer.weights for answer in ordered]
    grade = np.array([w[1] for w in weights if w is not None]) if None not in weights else None
    return Decisions(np.array([answer.choice == 1 for answer in ordered]), grade)


def decision_scores(
    name: str, task: ScoringTask, question: DecisionQuestion, decisions: Decisions
) -> list[Score]:
    """Balanced accuracy, and AUROC if there are grades, with the floors of both."""

    def accuracy_of(decisions: Decisions) -> Interval:
        return balanced_accuracy(decisions.yes, question.examples, task.seed)

    def auroc_of(decisions: Decisions) -> Interval:
        assert decisions.grade is not None
        return auroc(decisions.grade, question.examples, task.seed)

    measures = {name: accuracy_of}
    if decisions.grade is not None:
        measures[f"{name}.auroc"] = auroc_of
    scores = []
    for measure_name, measure in measures.items():
        floors = decision_floors(
            task, lambda predicted, m=measure: m(question.from_prediction(predicted))
        )
        scores.append(mixed_text_score(measure_name, task, measure(decisions), floors))
    return scores


def decision_floors(
    task: ScoringTask, score_prediction: Callable[[np.ndarray], Interval], chance: float = 0.5
) -> Floors:
    """The same decision taken from each floor prediction.

    *shuffled* is chance: decisions dealt out at random among the examples are right that often on
    average.
    """
    floors = task.floor_predictions

    def value(predicted: np.ndarray | None) -> float | None:
        return None if predicted is None else score_prediction(predicted).value

    trivial = [score_prediction(predicted).value for predicted in floors.trivial.values()]
    best = max([chance, *trivial]) if trivial else None
    return Floors(
        chance,
        chance,
        value(floors.other),
        value(floors.token_lookup),
        best,
        list=value(floors.token_list),
    )


def auroc_score(
    name: str, task: ScoringTask, grade: Float[np.ndarray, " examples"], examples: LabelledExamples
) -> list[Score]:
    """AUROC of a grade that no floor prediction can give."""
    floors = Floors(chance=0.5, shuffled=0.5)
    return [mixed_text_score(name, task, auroc(grade, examples, task.seed), floors)]


def mixed_text_score(name: str, task: ScoringTask, value: Interval, floors: Floors) -> Score:
    """A score on windows chosen from active and quiet text."""
    return Score(name, task.split, "top_and_random", *value, floors)
