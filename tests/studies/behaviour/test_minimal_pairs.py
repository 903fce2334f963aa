"""The study of minimal pairs on the tiny and on the default subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.studies import StudyContext, find_study
from hubel.studies.behaviour.minimal_pairs import form_alone
from hubel.tools.behaviour import continuation_probabilities
from hubel.tools.subject import Subject


def test_a_random_subject_prefers_nothing(tiny: Subject) -> None:
    result = find_study("minimal-pairs")(StudyContext([tiny]), {"pairs": "agreement,polarity-ever"})
    assert [row["phenomenon"] for row in result.rows] == ["agreement", "polarity-ever"]
    assert not any(claim.verdict == "supported" for claim in result.claims)


def test_few_pairs_of_a_table_cannot_say(tiny: Subject, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("prefix,good,bad\nthe cat, sat, ran\na dog, ran, sat\n")
    result = find_study("minimal-pairs")(
        StudyContext([tiny]), {"pairs": str(tmp_path / "pairs.csv")}
    )
    (claim,) = result.claims
    assert claim.verdict == "cannot say"
    assert "2 groups, and an interval needs 8" in claim.claim


def test_form_alone_is_a_naive_count() -> None:
    good, bad = np.array([3.0, 1.0, 5.0, 2.0]), np.array([1.0, 2.0, 4.0, 6.0])
    forms = np.array([("a", "b"), ("b", "a"), ("a", "b"), ("c", "c")])
    scores: dict[str, list[float]] = {}
    for pair, values in zip(forms.tolist(), zip(good, bad, strict=True), strict=True):
        for form, value in zip(pair, values, strict=True):
            scores.setdefault(form, []).append(float(value))
    mean = {form: np.mean(values) for form, values in scores.items()}
    right = [(mean[a] > mean[b]) + 0.5 * (mean[a] == mean[b]) for a, b in forms.tolist()]
    assert form_alone(good, bad, forms) == np.mean(right)


@pytest.mark.subject
def test_the_default_subject_agrees(subject: Subject) -> None:
    """The margin was measured once with another library's forward pass: 3.41 nats."""
    prefix = "The keys to the cabinet"
    scores = continuation_probabilities(subject, [prefix] * 2, [" are", " is"]).totals
    assert scores[0] - scores[1] == pytest.approx(3.41, abs=0.01)
    result = find_study("minimal-pairs")(StudyContext([subject]), {"pairs": "agreement"})
    (claim,) = result.claims
    assert claim.verdict == "supported"
    assert claim.value is not None
    assert claim.value > 0.9
