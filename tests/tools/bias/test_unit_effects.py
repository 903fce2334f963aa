"""Effects of units on preferences against runs, finite differences, and weights set by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.bench.tiny_subject import miniature
from hubel.tools.behaviour.sequence_probability import RowEdit
from hubel.tools.bias import BiasItem, score_items, weigh
from hubel.tools.bias.unit_effects import (
    UnitMeans,
    ablation_edit,
    estimate_effects,
    placebo_units,
    unit_means,
)
from hubel.tools.errors import UsageError
from hubel.tools.subject import Intervention, Subject
from hubel.tools.subject.address import Site, Unit


def items_of(subject: Subject) -> list[BiasItem]:
    texts = ("the cat was red", "the cat was not blue", "the river bank", "the dog was in the city")
    weighted = [weigh([0, *subject.tokenize(text).ids], [2, 3]) for text in texts]
    return [
        BiasItem((weighted[0], weighted[1]), "a", "x"),
        BiasItem((weighted[3], weighted[2]), "b", "x"),
    ]


def preference(subject: Subject, edit: RowEdit | None = None) -> float:
    scores = score_items(subject, items_of(subject), edit)
    return float((scores[:, 0] - scores[:, 1]).sum())


def test_means_are_those_of_a_loop_without_the_first_token() -> None:
    subject = miniature()
    texts = [subject.tokenize(text).ids for text in ("the cat was red", "the river bank was blue")]
    means = unit_means(subject, texts)
    for layer in range(3):
        parts = []
        for ids in texts:
            captured = subject.capture(torch.tensor([ids]), [Site("mlp", layer)]).activations
            parts.append(captured[Site("mlp", layer)][0, 1:].numpy())
        expected = np.concatenate(parts)
        assert means.neurons[layer] == pytest.approx(expected.mean(axis=0), abs=1e-5)
        written = subject.write_direction(Unit("mlp", layer, 5)).norm().item()
        size = expected[:, 5].std() * written
        assert means.neuron_size[layer][5] == pytest.approx(size, rel=1e-3)


def test_estimates_are_the_slope_of_a_small_step_towards_the_mean() -> None:
    subject = miniature(3)
    items = items_of(subject)
    means = unit_means(subject, [subject.tokenize("the city was not red on Monday").ids])
    effects = estimate_effects(subject, items, np.ones(2), means)
    before, step = preference(subject), 1e-2
    for unit in (Unit("mlp", 1, 7), Unit("head", 0, 2), Unit("head", 2, 1), Unit("mlp", 2, 3)):
        slope = (preference(subject, partial_step(subject, unit, means, step)) - before) / step
        assert effects.of(unit) == pytest.approx(slope, rel=0.05, abs=2e-3)


def partial_step(subject: Subject, unit: Unit, means: UnitMeans, step: float):
    """A share of the way to the mean: the activation times 1 - step, plus step times the mean."""
    (change,) = ablation_edit(subject, [unit], means)(2)
    value = change.value
    added = tuple(step * v for v in value) if isinstance(value, tuple) else step * (value or 0)

    def edit(length: int) -> list[Intervention]:
        places = tuple(range(1, length))
        return [
            Intervention(unit, "scale", positions=places, value=1 - step),
            Intervention(unit, "add", positions=places, value=added),
        ]

    return edit


def test_placebos_are_other_units_of_the_same_kind_layer_and_size() -> None:
    subject = miniature()
    means = unit_means(subject, [subject.tokenize("the city was not red on Monday").ids])
    units = [Unit("mlp", 1, 4), Unit("mlp", 1, 9), Unit("head", 2, 0)]
    placebo = placebo_units(units, means, np.random.default_rng(0))
    assert [(unit.site, unit.layer) for unit in placebo] == [("mlp", 1), ("mlp", 1), ("head", 2)]
    assert not set(placebo) & set(units)
    assert len(set(placebo)) == 3


def test_without_other_text_there_are_no_means() -> None:
    with pytest.raises(UsageError, match="two tokens"):
        unit_means(miniature(), [[5]])
