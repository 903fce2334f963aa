"""What `bias_causes` measures: preferences and loss under a mitigation and under its placebos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import numpy as np

from ...tools.behaviour.sequence_probability import RowEdit, TokenRow, score_rows
from ...tools.bias import BiasItem, items_of_half, score_items
from ...tools.bias.items import BiasSetName
from ...tools.bias.load import load_items
from ...tools.corpus import read_corpus

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...tools.subject import Subject
    from ..measurements import Measured
    from ..study_context import StudyContext

Condition = Callable[[], AbstractContextManager["RowEdit | None"]]
"""Within its block the subject is changed, or gets the interventions that the block is given."""
SETS: tuple[BiasSetName, ...] = ("winobias", "stereoset", "crows-pairs")
MEAN_DOCUMENTS, LOSS_DOCUMENTS, TOKENS = 60, 40, 64
"""Of lee-news: those whose tokens give the means, those whose loss is measured, tokens of each."""


def measure_preferences(
    study: StudyContext,
    data: BiasSetName,
    conditions: Callable[[], Sequence[Condition]],
    limits: tuple[int, int],
    seed: int,
) -> Measured:
    """What a mitigation and its placebos do to the other half of a set, the other sets and the loss.

    Each part is a separate measurement, so that a stopped run continues where it was.

    Args:
        conditions: the subject as it is, under the mitigation, and under each placebo.
        limits: items of that set, and of each other set, at most.
    """

    def preferences(name: BiasSetName) -> Measured:
        items = item_pairs(study.subject, name, limits[name != data], seed)
        if name == data:
            _, items = items_of_half(items, seed)
        return _preferences(study, name, items, conditions())

    measured: dict[str, np.ndarray] = {}
    for name in SETS:
        part = study.measured(f"preferences-{name}", lambda name=name: preferences(name))
        measured |= {f"{name}.{column}": values for column, values in part.items()}
    losses = study.measured(
        "losses",
        lambda: _losses(study, news_texts(study.subject)[MEAN_DOCUMENTS:], conditions()),
    )
    return measured | {f"loss.{column}": values for column, values in losses.items()}


def item_pairs(subject: Subject, name: BiasSetName, limit: int, seed: int) -> list[BiasItem]:
    """Items of a set, each with its stereotype and its other text."""
    items = load_items(subject, name, limit, seed).readings["scores"]
    # Second sentences without the trained classifier of the paper are another task.
    return [
        BiasItem(item.texts[:2], item.group, item.domain, item.part)
        for item in items
        if item.part in ("", "intrasentence")
    ]


def _preferences(
    study: StudyContext, name: str, items: Sequence[BiasItem], conditions: Sequence[Condition]
) -> dict[str, np.ndarray]:
    found: list[Float[np.ndarray, " item"]] = []
    for done, condition in enumerate(conditions, 1):
        with condition() as edit:
            scores = score_items(study.subject, items, edit)
        found.append(scores[:, 0] - scores[:, 1])
        study.progress(f"preferences on {name}", done, len(conditions))
    return {
        "before": found[0],
        "after": found[1],
        "placebo": np.stack(found[2:]),
        "group": np.array([item.group for item in items]),
        "weight": item_weights(name, items),
    }


def item_weights(name: str, items: Sequence[BiasItem]) -> Float[np.ndarray, " item"]:
    """Weights that add up to 1: equal, or for WinoBias half for each gender."""
    if name != "winobias":
        return np.full(len(items), 1 / len(items))
    domains = [item.domain for item in items]
    kinds = sorted(set(domains))
    return np.array([1 / (len(kinds) * domains.count(domain)) for domain in domains])


def news_texts(subject: Subject) -> list[tuple[int, ...]]:
    """The first tokens of documents of lee-news, long ones only."""
    texts: list[tuple[int, ...]] = []
    for document in read_corpus("lee-news").documents:
        ids = subject.tokenize(document.text).ids[:TOKENS]
        if len(ids) == TOKENS:
            texts.append(tuple(ids))
        if len(texts) == MEAN_DOCUMENTS + LOSS_DOCUMENTS:
            break
    return texts


def _losses(
    study: StudyContext, texts: Sequence[tuple[int, ...]], conditions: Sequence[Condition]
) -> dict[str, np.ndarray]:
    """Mean loss per token of each document, nats."""
    rows = [TokenRow(ids, 1) for ids in texts]
    found: list[np.ndarray] = []
    for done, condition in enumerate(conditions, 1):
        with condition() as edit:
            scores = score_rows(study.subject, rows, edit)
        found.append(np.array([-values.mean() for values in scores]))
        study.progress("loss on news", done, len(conditions))
    return {
        "before": found[0],
        "after": found[1],
        "placebo": np.stack(found[2:]),
    }
