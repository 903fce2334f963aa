"""What `bias_causes` measures: preferences and loss with suspects, and with placebos, at their means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...tools.behaviour.sequence_probability import RowEdit, TokenRow, score_rows
from ...tools.bias import BiasItem, items_of_half, score_items
from ...tools.bias.items import BiasSetName
from ...tools.bias.load import load_items
from ...tools.corpus import read_corpus
from ...tools.errors import UsageError
from ...tools.subject.address import Unit

if TYPE_CHECKING:
    from jaxtyping import Float

    from ...tools.bias.unit_effects import UnitMeans
    from ...tools.subject import Subject
    from ..measurements import Measured
    from ..study_context import StudyContext

SETS: tuple[BiasSetName, ...] = ("winobias", "stereoset", "crows-pairs")
MEAN_DOCUMENTS, LOSS_DOCUMENTS, TOKENS = 60, 40, 64
"""Of lee-news: those whose tokens give the means, those whose loss is measured, tokens of each."""


def measure_causes(
    study: StudyContext,
    data: BiasSetName,
    n_units: int,
    n_placebos: int,
    limits: tuple[int, int],
    seed: int,
) -> Measured:
    """Suspects from one half of a set, and what they and placebos do to everything else.

    Each part is a separate measurement, so that a stopped run continues where it was.

    Args:
        limits: items of that set, and of each other set, at most.
    """
    suspects = study.measured("suspects", lambda: _suspects(study, data, n_units, limits[0], seed))
    edits: list[RowEdit | None] = []

    def all_edits() -> list[RowEdit | None]:
        from ...tools.bias.unit_effects import unit_means

        if not edits:
            units = [Unit.parse(str(name)) for name in suspects["units"]]
            means = unit_means(study.subject, news_texts(study.subject)[:MEAN_DOCUMENTS])
            edits.extend(_edits(study.subject, units, means, n_placebos, seed))
        return edits

    def preferences(name: BiasSetName) -> Measured:
        items = _pairs(study.subject, name, limits[name != data], seed)
        if name == data:
            _, items = items_of_half(items, seed)
        return _preferences(study, name, items, all_edits())

    measured = dict(suspects)
    for name in SETS:
        part = study.measured(f"preferences-{name}", lambda name=name: preferences(name))
        measured |= {f"{name}.{column}": values for column, values in part.items()}
    losses = study.measured(
        "losses",
        lambda: _losses(study, news_texts(study.subject)[MEAN_DOCUMENTS:], all_edits()),
    )
    return measured | {f"loss.{column}": values for column, values in losses.items()}


def _suspects(
    study: StudyContext, data: BiasSetName, n_units: int, limit: int, seed: int
) -> Measured:
    """The units that lower the preference most on the first half, by estimate."""
    from ...tools.bias.unit_effects import estimate_effects, unit_means

    subject = study.subject
    first, _ = items_of_half(_pairs(subject, data, limit, seed), seed)
    effects = estimate_effects(
        subject,
        first,
        item_weights(data, first),
        unit_means(subject, news_texts(subject)[:MEAN_DOCUMENTS]),
        progress=lambda done, total: study.progress("estimating effects", done, total),
    )
    units = effects.ranked(n_units)
    if not units:
        raise UsageError(f"no unit of {subject.name} lowers the preference on {data}, by estimate")
    return {
        "units": np.array([str(unit) for unit in units]),
        "estimate": np.array([effects.of(unit) for unit in units]),
    }


def _edits(
    subject: Subject, suspects: Sequence[Unit], means: UnitMeans, n_placebos: int, seed: int
) -> Iterator[RowEdit | None]:
    """Nothing, the suspects, then the placebos."""
    from ...tools.bias.unit_effects import ablation_edit, placebo_units

    yield None
    yield ablation_edit(subject, suspects, means)
    rng = np.random.default_rng(seed)
    for _ in range(n_placebos):
        yield ablation_edit(subject, placebo_units(suspects, means, rng), means)


def _pairs(subject: Subject, name: BiasSetName, limit: int, seed: int) -> list[BiasItem]:
    items = load_items(subject, name, limit, seed).readings["scores"]
    # Second sentences without the trained classifier of the paper are another task.
    return [item for item in items if item.part in ("", "intrasentence")]


def _preferences(
    study: StudyContext, name: str, items: Sequence[BiasItem], edits: Sequence[RowEdit | None]
) -> dict[str, np.ndarray]:
    pairs = [BiasItem(item.texts[:2], item.group, item.domain, item.part) for item in items]
    found: list[Float[np.ndarray, " item"]] = []
    for done, edit in enumerate(edits, 1):
        scores = score_items(study.subject, pairs, edit)
        found.append(scores[:, 0] - scores[:, 1])
        study.progress(f"preferences on {name}", done, len(edits))
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
    study: StudyContext, texts: Sequence[tuple[int, ...]], edits: Sequence[RowEdit | None]
) -> dict[str, np.ndarray]:
    """Mean loss per token of each document, nats."""
    rows = [TokenRow(ids, 1) for ids in texts]
    found: list[np.ndarray] = []
    for done, edit in enumerate(edits, 1):
        found.append(np.array([-values.mean() for values in score_rows(study.subject, rows, edit)]))
        study.progress("loss on news", done, len(edits))
    return {
        "before": found[0],
        "after": found[1],
        "placebo": np.stack(found[2:]),
    }
