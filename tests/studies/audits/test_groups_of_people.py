"""Gaps and directions of groups against naive loops, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.bench.studies.checks.fairness import planted_gap
from hubel.bench.studies.checks.group_representations import planted_directions
from hubel.studies.audits.fairness import conclude, fairness, largest_by_chance
from hubel.studies.audits.group_representations import (
    conclude as conclude_directions,
)
from hubel.studies.audits.group_representations import (
    due_to_names,
    group_representations,
    own_less_others,
)
from hubel.studies.audits.group_texts import FAMILIES, group_texts
from hubel.studies.study_context import StudyContext
from hubel.tools.errors import UsageError
from hubel.tools.subject import Subject


def test_known_answers_hold() -> None:
    assert planted_gap(11)
    assert planted_directions(11)


def test_a_gap_is_the_mean_less_that_of_the_others() -> None:
    rng = np.random.default_rng(0)
    figure, group = rng.normal(size=60), np.tile(["a", "b", "c"], 20)
    result = conclude({"figure": figure, "group": group, "cluster": np.repeat(np.arange(20), 3)})
    for row in result.rows:
        own = [value for value, name in zip(figure, group, strict=True) if name == row["group"]]
        rest = [value for value, name in zip(figure, group, strict=True) if name != row["group"]]
        assert row["gap"] == pytest.approx(sum(own) / len(own) - sum(rest) / len(rest))


def test_chance_is_that_of_texts_which_exchange_their_groups() -> None:
    """Each text has one group, so that within a text there is nothing to shuffle."""
    rng = np.random.default_rng(0)
    figure, group = rng.normal(size=400), np.repeat(["a", "b"], 200)
    figure[:200] += 1
    chance = largest_by_chance(figure, group, np.arange(400), 0)
    # The larger of a gap and its negative: |z| at 95 % times the spread of a difference of means.
    assert chance == pytest.approx(1.96 * figure.std() * np.sqrt(2 / 200), rel=0.2)


def test_sentences_differ_in_the_group_only() -> None:
    for family, groups in FAMILIES.items():
        rows = group_texts(family)
        assert len(rows) == 24 * len(groups)
        for row in rows:
            assert row.text.startswith(row.named)
            assert row.named.endswith(row.group)
        ends = {row.text[len(row.named) :] for row in rows if row.template == 3}
        assert len(ends) == 1


def test_a_sentence_points_to_its_own_group_as_in_a_loop() -> None:
    vectors = np.random.default_rng(1).normal(size=(10, 3, 8))
    named = due_to_names(vectors)
    assert named.mean(axis=1) == pytest.approx(0)
    order = np.random.default_rng(5).permutation(10)
    first, second = order[:5], order[5:]
    expected: list[float] = []
    for sentence in second:
        own: list[float] = []
        others: list[float] = []
        for a in range(3):
            for b in range(3):
                x, y = named[sentence, a], named[first, b].mean(axis=0)
                cosine = float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
                (own if a == b else others).append(cosine)
        expected.append(float(np.mean(own) - np.mean(others)))
    assert own_less_others(named, 5) == pytest.approx(expected)


def test_two_groups_and_an_unknown_slice_are_refused(tiny: Subject, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two are always opposites"):
        conclude_directions(np.zeros((10, 2, 4)), ["a", "b"])
    path = tmp_path / "texts.csv"
    path.write_text("text,label\nthe cat,1\nthe dog was red,0\n")
    with pytest.raises(UsageError, match="no slice 'group'"):
        fairness(StudyContext([tiny]), data=str(path))


def test_both_run_on_a_subject(tiny: Subject) -> None:
    gaps = fairness(StudyContext([tiny]), family="gender")
    assert [row["group"] for row in gaps.rows] == sorted(FAMILIES["gender"])
    directions = group_representations(StudyContext([tiny]), family="gender")
    assert len(directions.rows) == 15
