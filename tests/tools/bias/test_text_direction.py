"""The direction that tells two texts apart, against the passes of a subject and weights set by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.bench.studies.checks.bias_causes import planted_direction
from hubel.bench.tiny_subject import miniature
from hubel.tools.bias import BiasItem, weigh
from hubel.tools.bias.text_direction import (
    LabelledVectors,
    change,
    erased_stream,
    labelled_vectors,
    placebo_eraser,
    text_eraser,
)
from hubel.tools.subject import Subject
from hubel.tools.subject.address import Site

STREAM = Site("stream", 1)


def stream(subject: Subject, ids: list[int]) -> np.ndarray:
    return subject.capture(torch.tensor([ids]), [STREAM]).activations[STREAM][0].double().numpy()


def examples_of(seed: int) -> LabelledVectors:
    rng = np.random.default_rng(seed)
    item = np.repeat(np.arange(30), 2)
    label = np.arange(60) % 2 == 0
    return LabelledVectors(rng.normal(size=(60, 16)) + label[:, None], label, item)


def test_vectors_begin_where_the_texts_differ_and_genders_are_labels() -> None:
    subject = miniature()
    he, she = [0, 7, 8, 9, 10], [0, 7, 11, 9]
    texts = weigh(he, [2, 3, 4]), weigh(she, [2, 3])
    items = [BiasItem(texts, "a", "male"), BiasItem(texts[::-1], "a", "female")]
    found = labelled_vectors(subject, "winobias", items, 1)
    expected = np.concatenate([stream(subject, ids)[2:] for ids in (he, she, she, he)])
    assert found.vectors == pytest.approx(expected, abs=1e-5)
    assert found.label.tolist() == [True] * 3 + [False] * 4 + [True] * 3
    assert found.item.tolist() == [0] * 5 + [1] * 5
    stereotypes = labelled_vectors(subject, "stereoset", items, 1)
    assert stereotypes.label.tolist() == [True] * 3 + [False] * 2 + [True] * 2 + [False] * 3


def test_within_the_block_all_positions_but_the_first_are_erased() -> None:
    subject, ids = miniature(), [0, 7, 8, 9]
    eraser = text_eraser(examples_of(0))
    before = stream(subject, ids)
    with erased_stream(subject, 1, eraser):
        after = stream(subject, ids)
    assert after[0] == pytest.approx(before[0])
    assert after[1:] == pytest.approx(eraser(before[1:]), abs=1e-4)
    assert np.abs(after[1:] - before[1:]).max() > 0.01
    assert (stream(subject, ids) == before).all()


def test_a_placebo_changes_the_vectors_as_much_and_leaves_the_label() -> None:
    examples = examples_of(1)
    eraser = text_eraser(examples)
    placebo = placebo_eraser(examples, eraser, np.random.default_rng(0))
    assert change(placebo, examples.vectors) == pytest.approx(change(eraser, examples.vectors))

    def gap(vectors: np.ndarray) -> float:
        means = [vectors[examples.label == flag].mean(axis=0) for flag in (True, False)]
        return float(np.linalg.norm(means[0] - means[1]))

    assert gap(eraser(examples.vectors)) < 1e-9
    assert gap(placebo(examples.vectors)) > 0.5 * gap(examples.vectors)


def test_a_planted_direction_is_erased() -> None:
    assert planted_direction(7)
