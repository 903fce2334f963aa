"""Whether a subject can do a task, from numbers whose answer is plain."""

import numpy as np
import pytest

from hubel.evals.statistics.ability import mean_over_prompts, measure_ability

TOP = np.ones(40, dtype=bool)


def test_a_clear_effect_is_an_ability_with_full_accuracy() -> None:
    ability = measure_ability(np.full(40, 3.0), np.full(40, -3.0), TOP)
    assert ability.can
    assert ability.accuracy.value == ability.top == 1
    assert ability.clean == (3, 3, 3)


@pytest.mark.parametrize(
    ("clean", "corrupted", "why"),
    [
        (np.tile([1.0, -0.5], 20), np.full(40, -3.0), "accuracy"),
        (np.full(40, 3.0), np.full(40, 3.0), "takes nothing away"),
    ],
)
def test_a_missing_ability_comes_with_its_reason(
    clean: np.ndarray, corrupted: np.ndarray, why: str
) -> None:
    ability = measure_ability(clean, corrupted, TOP)
    assert not ability.can
    assert why in ability.why


def test_the_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(0).normal(2, 1, 400)
    interval = mean_over_prompts(values)
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
