"""Subjects made by hand do what their weights say."""

from __future__ import annotations

import random

import numpy as np
import pytest

from hubel.bench.known_behaviour import bag_of_words, shot_reader
from hubel.tools.behaviour import continuation_probabilities
from hubel.tools.subject.subject import Subject

WEIGHTS = {
    "rain": {"wet": 3.0, "dry": -1.0},
    "sun": {"dry": 2.0},
    "river": {"wet": 1.0},
}


def logit_difference(subject: Subject, text: str) -> float:
    wet, dry = continuation_probabilities(subject, [text] * 2, [" wet", " dry"]).totals
    return wet - dry


def test_a_bag_of_words_is_the_mean_of_its_weights() -> None:
    subject = bag_of_words(WEIGHTS, words=["the", "and"], bias={"wet": 0.5})
    assert logit_difference(subject, "the rain and sun") == pytest.approx(
        0.5 + (4 - 2) / 4, abs=1e-5
    )
    assert logit_difference(subject, "the") == pytest.approx(0.5, abs=1e-5)
    words = ["river", "the", "sun", "rain", "and", "sun"]
    values = []
    for seed in range(5):
        random.Random(seed).shuffle(words)
        values.append(logit_difference(subject, " ".join(words)))
        values.append(logit_difference(subject, " ".join(words).upper()))
    assert np.ptp(values) < 1e-5


def test_a_shot_reader_answers_what_it_was_shown() -> None:
    subject = shot_reader(["cat", "dog", "red", "blue", "so"])
    shots = "so\ncat red\ndog blue\n"
    scores = continuation_probabilities(
        subject,
        [shots + "cat"] * 2 + [shots + "dog"] * 2 + ["so\ncat red\ndog"] * 2,
        [" red", " blue"] * 3,
    ).totals
    assert scores[0] - scores[1] == pytest.approx(12, abs=0.01)
    assert scores[2] - scores[3] == pytest.approx(-12, abs=0.01)
    # not shown: attention is spread over six tokens, of which one is an answer
    assert scores[4] - scores[5] == pytest.approx(12 / 6, abs=0.01)
