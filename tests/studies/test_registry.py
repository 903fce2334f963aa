"""Studies are registered once, by family, and their options are checked before anything runs."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.studies import (
    HeatMap,
    LinePlot,
    PlottedLine,
    ScatterPlot,
    StudyClaim,
    StudyContext,
    StudyResult,
    find_study,
    studies,
    study,
)
from hubel.studies.registry import FAMILIES
from hubel.tools.errors import ArgumentError, UnavailableError, UsageError

CLAIM = StudyClaim("something", "cannot say", None, None, None, None, 0)


def test_every_study_asks_a_question_and_says_what_it_does() -> None:
    registered = studies()
    assert registered
    for name, one in registered.items():
        assert one.question.endswith("?"), name
        assert one.description, name
        assert one.family in FAMILIES
    families = [one.family for one in registered.values()]
    assert families == sorted(families, key=FAMILIES.index)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(UsageError, match=r"massive-dimensions.*registered already"):
        study("massive-dimensions", question="?")(lambda _study: StudyResult(claims=[CLAIM]))


def test_an_unknown_study_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'nonsense'; there are .*massive-dimensions"):
        find_study("nonsense")


def test_options_that_do_not_fit_are_named_with_what_was_given() -> None:
    with pytest.raises(ArgumentError, match=r"documents: .*given 'many'"):
        find_study("massive-dimensions").checked({"documents": "many"})
    with pytest.raises(ArgumentError, match=r"Extra inputs"):
        find_study("massive-dimensions").checked({"layers": 3})


def test_without_a_subject_it_says_how_one_is_named() -> None:
    with pytest.raises(UnavailableError, match="--subject"):
        _ = StudyContext().subject


def test_a_measurement_is_made_once() -> None:
    made: list[str] = []

    def measure() -> dict[str, np.ndarray]:
        made.append("x")
        return {"x": np.arange(3)}

    context = StudyContext()
    first, second = (context.measured("x", measure)["x"] for _ in range(2))
    assert made == ["x"]
    assert first is second


def test_a_result_without_a_claim_or_with_uneven_parts_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one claim"):
        StudyResult()
    with pytest.raises(UsageError, match="two claims"):
        StudyResult(claims=[CLAIM, CLAIM])
    with pytest.raises(UsageError, match="different columns"):
        StudyResult(rows=[{"a": 1}, {"b": 1}], claims=[CLAIM])
    with pytest.raises(UsageError, match="line 'x' has 1 values where 2"):
        PlottedLine("x", [1, 2], [1.0])
    with pytest.raises(UsageError, match="a row of heat map 'h' has 1 values where 2"):
        HeatMap("h", "", "", "", ["a", "b"], ["r"], [[1.0]])
    with pytest.raises(UsageError, match="scatter 's' has 0 values where 1"):
        ScatterPlot("s", "", "", "", [1.0], [1.0], [])
    figure = LinePlot("c", "", "", "", [PlottedLine("x", [1], [1.0])])
    with pytest.raises(UsageError, match="two figures"):
        StudyResult(claims=[CLAIM], figures=[figure, figure])
