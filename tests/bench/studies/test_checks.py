"""Every study gives its known answer, and supports nothing where there is nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from hubel.agent.engine import LocalEngine
from hubel.bench.studies.measure import check_study
from hubel.bench.studies.registry import checks_of, known_answer, null
from hubel.bench.studies.trials import count_on
from hubel.studies import Study, StudyClaim, StudyResult, studies
from hubel.tools.errors import UsageError

NULLS, ANSWERS = 20, 1
"""Fewer than `hubel bench studies` runs; 20 tell a null that is always supported from one that is not."""


@pytest.mark.parametrize("name", studies())
def test_the_known_answer_is_given_and_nothing_is_not_supported(name: str) -> None:
    check = check_study(studies()[name], NULLS, ANSWERS)
    assert check.passed, check
    assert check.known_answer


def _study(name: str) -> Study:
    return Study(name, "?", lambda _study: StudyResult(), BaseModel)


def _result(verdict: str) -> StudyResult:
    claim = StudyClaim("nothing", verdict, 0.5, 0.4, 0.6, 0.5, 30)  # pyright: ignore[reportArgumentType]
    return StudyResult(claims=[claim])


def test_a_study_that_supports_nothing_too_often_or_misses_its_answer_fails() -> None:
    known_answer("credulous", "anything")(lambda _seed: True)
    null("credulous", "nothing")(lambda seed: _result("supported" if seed % 5 == 0 else "refuted"))
    credulous = check_study(_study("credulous"), 200, 1)
    assert (credulous.passed, credulous.null_rate) == (False, 0.2)

    known_answer("blind", "anything")(lambda seed: seed == 0)
    null("blind", "nothing")(lambda _seed: _result("cannot say"))
    blind = check_study(_study("blind"), 20, 3)
    assert (blind.passed, blind.null_rate) == (False, 0.0)


def test_workers_count_the_same_and_a_stopped_bench_goes_on(tmp_path: Path) -> None:
    calls: list[int] = []

    def lucky(seed: int) -> StudyResult:
        calls.append(seed)
        return _result("supported" if seed % 7 == 0 else "refuted")

    known_answer("lucky", "two of three seeds")(lambda seed: seed != 1)
    null("lucky", "nothing")(lucky)
    expected = check_study(_study("lucky"), 25, 3)
    calls.clear()

    def stop(done: int, _total: int) -> None:
        if done > 15:
            raise KeyboardInterrupt

    count = count_on(LocalEngine(), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        check_study(_study("lucky"), 25, 3, stop, count)
    actual = check_study(_study("lucky"), 25, 3, count=count)
    assert replace(actual, seconds=0.0) == replace(expected, seconds=0.0)
    assert (actual.passed, actual.null_rate) == (False, 4 / 25)
    assert calls == list(range(25)), "each is run once"
    assert not list(tmp_path.iterdir())


def test_a_study_without_checks_is_refused() -> None:
    with pytest.raises(UsageError, match="no known answer in bench/studies/checks"):
        checks_of("unchecked")
