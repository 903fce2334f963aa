"""What only corrects another term is its exception; what says something more stays a claim."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.dissection import Predicate, TextView
from hubel.tools.dissection.exceptions import mark_exceptions

PLA, PLAN = 'strongly prefix("pla")', 'prefix("plan")'
POSITIONS = {
    'prefix("pla")': range(20),
    'prefix("plan")': range(8),
    'suffix("n")': range(6, 30),
    'kind("number")': range(30, 40),
    'suffix("ay")': [*range(20, 25), *range(2)],
    'words("plan")': range(8),
}


def marked(formula: str) -> str:
    terms = Predicate.parse(formula).terms
    columns = []
    for term in terms:
        column = np.zeros(50)
        column[list(POSITIONS[term.concept.to_text()])] = 1
        columns.append(column)
    text = Predicate(mark_exceptions(terms, columns)).to_text()
    return text.removesuffix("; step 1.0, rest 0.0")


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        # all of it is taken away, or half
        (f"{PLA} - strongly {PLAN}", f"{PLA} except strongly {PLAN}"),
        (f"{PLA} - moderately {PLAN}", f"{PLA} except moderately {PLAN}"),
        # it comes right after what it corrects, wherever it was
        (
            f'- strongly {PLAN} + strongly kind("number") + {PLA}',
            f'strongly kind("number") + {PLA} except strongly {PLAN}',
        ),
        (f"- {PLA} + strongly {PLAN}", f"- {PLA} except strongly {PLAN}"),
        # of its own: outweighs it, overlaps little, has the same sign, lists a word
        (f'slightly prefix("pla") - strongly {PLAN}', None),
        (f'{PLA} - strongly suffix("ay")', None),
        (f'{PLA} - strongly suffix("n")', None),
        (f"{PLA} + strongly {PLAN}", None),
        (f'{PLA} - strongly words("plan")', None),
    ],
)
def test_what_corrects_is_an_exception(formula: str, expected: str | None) -> None:
    assert marked(formula) == (expected or formula)


def test_the_prediction_stays_the_same(sample: TextView) -> None:
    plain = Predicate.parse(
        'strongly kind("no space") - strongly suffix("s") - slightly prefix("b")'
    )
    columns = [term.concept.mask(sample).ravel().astype(float) for term in plain.terms]
    changed = Predicate(mark_exceptions(plain.terms, columns))
    np.testing.assert_array_equal(changed.predict_text(sample), plain.predict_text(sample))
    assert mark_exceptions((), ()) == ()
