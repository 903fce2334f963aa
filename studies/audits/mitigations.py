"""The mitigations of `bias_causes`: units at their means, or a direction erased, and their placebos.

Each is fitted to half of the groups of a set, and given as the conditions under which everything else
is measured: the subject as it is, under the mitigation, and under each placebo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...tools.bias import BiasItem
from ...tools.bias.items import BiasSetName
from ...tools.errors import UsageError
from ...tools.subject.address import Unit
from .measure_causes import MEAN_DOCUMENTS, Condition, item_weights, news_texts

if TYPE_CHECKING:
    from ..measurements import Measured
    from ..study_context import StudyContext

DEPTH = 0.8
"""Of the layers. On the first half of WinoBias (49 items of other groups than the eraser's), erasing
took the default subject's preference from 0.45 to 0.21 nats after layer 24, and one placebo to 0.49;
after layer 6 to 0.20, but the placebo to 0.15, and after layers 12 and 18 it did little."""


class Mitigation(NamedTuple):
    """What was fitted, and the conditions under which the subject is measured."""

    fitted: Measured
    conditions: Callable[[], Sequence[Condition]]


def damped_units(
    study: StudyContext,
    data: BiasSetName,
    items: Callable[[], Sequence[BiasItem]],
    n_units: int,
    n_placebos: int,
    seed: int,
) -> Mitigation:
    """The units that lower the preference most by estimate, at their means."""
    fitted = study.measured("suspects", lambda: _suspects(study, data, items(), n_units))

    @cache
    def conditions() -> list[Condition]:
        from ...tools.bias.unit_effects import ablation_edit, placebo_units, unit_means

        subject = study.subject
        units = [Unit.parse(str(name)) for name in fitted["units"]]
        means = unit_means(subject, news_texts(subject)[:MEAN_DOCUMENTS])
        rng = np.random.default_rng(seed)
        sets = [units, *(placebo_units(units, means, rng) for _ in range(n_placebos))]
        edits = [ablation_edit(subject, chosen, means) for chosen in sets]
        return [partial(nullcontext, edit) for edit in (None, *edits)]

    return Mitigation(fitted, conditions)


def _suspects(
    study: StudyContext, data: BiasSetName, items: Sequence[BiasItem], n_units: int
) -> Measured:
    from ...tools.bias.unit_effects import estimate_effects, unit_means

    subject = study.subject
    effects = estimate_effects(
        subject,
        items,
        item_weights(data, items),
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


def erased_direction(
    study: StudyContext,
    data: BiasSetName,
    items: Callable[[], Sequence[BiasItem]],
    layer: int | None,
    n_placebos: int,
    seed: int,
) -> Mitigation:
    """What tells the two texts of an item apart, erased from the stream after one layer."""
    fitted = study.measured(
        "erasers", lambda: _erasers(study, data, items, layer, n_placebos, seed)
    )

    @cache
    def conditions() -> list[Condition]:
        from ...tools.bias.text_direction import erased_stream
        from ...tools.representation.erasure import Eraser

        erasers = [
            Eraser(fitted["mean"], left, right)
            for left, right in zip(fitted["left"], fitted["right"], strict=True)
        ]
        at = int(fitted["layer"])
        erased = [partial(erased_stream, study.subject, at, eraser) for eraser in erasers]
        return [partial(nullcontext, None), *erased]

    return Mitigation(fitted, conditions)


def _erasers(
    study: StudyContext,
    data: BiasSetName,
    items: Callable[[], Sequence[BiasItem]],
    layer: int | None,
    n_placebos: int,
    seed: int,
) -> Measured:
    """The eraser, then its placebos."""
    from ...tools.bias.text_direction import labelled_vectors, placebo_eraser, text_eraser

    n_layers = study.subject.shape.n_layers
    at = int(DEPTH * n_layers) if layer is None else layer
    if at >= n_layers:
        raise UsageError(f"layer {layer} given; this subject has layers 0 to {n_layers - 1}")
    study.progress("fitting erasers", 0, None)
    examples = labelled_vectors(study.subject, data, items(), at)
    eraser = text_eraser(examples)
    rng = np.random.default_rng(seed)
    erasers = [eraser, *(placebo_eraser(examples, eraser, rng) for _ in range(n_placebos))]
    return {
        "layer": np.array(at),
        "mean": eraser.mean,
        "left": np.stack([each.left for each in erasers]),
        "right": np.stack([each.right for each in erasers]),
    }
