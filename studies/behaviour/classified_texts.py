"""What a subject answers when it labels texts: log p of every class's word after every text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...tools.behaviour.failure_slices import words_of_texts
from ...tools.errors import UsageError
from ..study_context import StudyContext

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...tools.datasets import LabelledTexts
    from ...tools.subject import Subject
    from ..measurements import Measured

BATCH = 200
"""Texts that are scored between two signs of progress."""


def read_texts(name: str, texts: int, seed: int) -> LabelledTexts:
    """So many texts of a data set, drawn at random."""
    from ...tools.datasets import read_dataset

    data = read_dataset(name)
    data.require_classes()
    rows = np.random.default_rng(seed).permutation(len(data))[:texts]
    return data.take(np.sort(rows))


def measure_answers(
    study: StudyContext, data: LabelledTexts, template: str, words: str
) -> Measured:
    """log p of every class for every text, and what slices are made of."""
    from ...tools.datasets import independent_groups

    answers = answer_words(words, data.classes)
    if "{text}" not in template:
        raise UsageError(f"template {template!r} given; it needs {{text}} where the text goes")
    scores, n_cut = _score(study, data, template, answers)
    length = np.array([len(text) for text in data.texts])
    held = words_of_texts(data.texts)
    columns = {f"slice {name}": np.array(values) for name, values in data.slices.items()}
    return {
        "scores": scores,
        "label": data.class_numbers,
        "classes": np.array(data.classes),
        "group": independent_groups(data.texts, data.groups),
        "length": np.searchsorted(np.quantile(length, [1 / 3, 2 / 3]), length),
        "word": held.words,
        "word_text": held.text,
        "word_number": held.number,
        "n_cut": np.array(n_cut),
        **columns,
    }


def answer_words(words: str, classes: Sequence[str]) -> list[str]:
    """The continuation for each class, with a space before it.

    Raises:
        UsageError: there is not one word for each class, or two are the same.
    """
    given = [word.strip() for word in words.split(",")] if words.strip() else list(classes)
    if len(given) != len(classes) or len(set(given)) != len(given) or not all(given):
        raise UsageError(
            f"words {words!r} given; expected {len(classes)} different ones, separated by commas, "
            f"for the classes {', '.join(classes)}"
        )
    return [f" {word}" for word in given]


def _score(
    study: StudyContext, data: LabelledTexts, template: str, answers: Sequence[str]
) -> tuple[Float[np.ndarray, "text class"], int]:
    n_cut, parts = 0, list[np.ndarray]()
    for start in range(0, len(data), BATCH):
        study.progress("texts", start, len(data))
        batch = data.texts[start : start + BATCH]
        scores, cut = _scores_of(study.subject, batch, template, answers)
        parts.append(scores)
        n_cut += cut
    return np.concatenate(parts), n_cut


def _scores_of(
    subject: Subject, texts: Sequence[str], template: str, answers: Sequence[str]
) -> tuple[Float[np.ndarray, "text class"], int]:
    from ...tools.behaviour import continuation_probabilities

    prompts = [template.replace("{text}", text) for text in texts for _ in answers]
    scored = continuation_probabilities(
        subject, prompts, list(answers) * len(texts), too_long="cut"
    )
    return scored.totals.reshape(len(texts), len(answers)), scored.n_cut // len(answers)
