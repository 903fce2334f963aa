"""Trajectories of tiny subjects: from the command to the table, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.studies import StudyContext
from hubel.studies.training.checkpoints import copies, measure_checkpoint, repeated_rows
from hubel.studies.training.trajectory import order_claim, timing_claim, trajectory
from hubel.tools.errors import ArgumentError, UsageError
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_model, tiny_subject, tiny_tokenizer


def test_the_whole_study_on_untrained_subjects_supports_no_timing() -> None:
    subjects = [tiny_subject(seed=seed) for seed in range(3)]
    result = trajectory(StudyContext(subjects), corpus="", rows=16)
    assert len(result.rows) == 3
    assert result.claims[2].verdict == "cannot say"
    assert "needs 9 checkpoints, 3 given" in result.claims[2].claim


def test_checkpoints_of_other_shapes_are_one_line() -> None:
    wide = Subject(tiny_model(vocab_size=500), tiny_tokenizer(), name="wide")
    subjects = [tiny_subject(), wide]
    with pytest.raises(UsageError, match="give checkpoints of one model") as refused:
        trajectory(StudyContext(subjects), corpus="", rows=16)
    assert "\n" not in str(refused.value)


def test_more_texts_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match="fewer --documents"):
        measure_checkpoint(tiny_subject(), "lee-news", 5000, 16, 0)


def test_the_first_token_of_the_second_copy_is_in_neither() -> None:
    ids = repeated_rows(tiny_subject(), 4, seed=0)
    half = ids.shape[1] // 2
    first, second = copies(ids)
    assert (ids[:, :half] == ids[:, half:]).all()
    assert half - 1 not in (*first, *second)
    assert len(first) == len(second) == half - 1


def test_falling_losses_are_in_order_and_flat_ones_say_nothing() -> None:
    texts = np.random.default_rng(0).normal(size=30)
    falling = np.linspace(4, 2, 9)[:, None] + texts
    assert order_claim(falling).verdict == "supported"
    assert order_claim(falling[::-1]).verdict == "refuted"
    assert order_claim(np.tile(texts, (9, 1))).verdict == "cannot say"


def test_timing_is_a_correlation_of_steps() -> None:
    random = np.random.default_rng(0)
    steps = random.normal(size=(12, 1)).cumsum(axis=0)
    rows = 0.001 * random.normal(size=(2, 12, 30))
    claim = timing_claim("it rises where", steps + rows[0], -2 * steps + rows[1])
    assert claim.verdict == "supported"
    assert claim.value == pytest.approx(1, abs=0.01)
    assert timing_claim("it", steps + rows[0], 2 * steps + rows[1]).verdict == "refuted"
    assert timing_claim("it", np.ones((12, 5)), np.ones((12, 5))).verdict == "cannot say"


def test_a_label_that_all_checkpoints_read_alike_was_not_learned(tmp_path: Path) -> None:
    table = tmp_path / "words.csv"
    texts = [f"{place} the {('cat', 'dog')[place % 2]},{place % 2}" for place in range(80)]
    table.write_text("text,label\n" + "\n".join(texts))
    subjects = [tiny_subject(seed=seed) for seed in range(2)]
    result = trajectory(StudyContext(subjects), corpus="", rows=16, data=str(table), texts=80)
    readable, learned = result.claims[-2:]
    assert (readable.verdict, learned.verdict) == ("supported", "cannot say")
    assert [row["reads it"] for row in result.rows] == [True, True]


def test_a_data_set_of_one_class_is_refused_in_one_line(tmp_path: Path) -> None:
    table = tmp_path / "one.csv"
    table.write_text("text,label\n" + "\n".join(f"the {n} cat,1" for n in range(40)))
    context = StudyContext([tiny_subject(), tiny_subject(seed=1)])
    with pytest.raises(ArgumentError, match="give texts of two or more labels") as refused:
        trajectory(context, corpus="", rows=16, data=str(table))
    assert "\n" not in str(refused.value)
