"""Two texts side by side, against activations read one text at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.instruments.compare import TextComparison
from hubel.tools.instruments.text_alignment import align_tokens, aligned_positions
from hubel.tools.subject import Unit
from tests.support.tiny import tiny_subject

A, B = "very Monday the cat said not a dog", "very Tuesday the cat said a blue dog"


@pytest.fixture(scope="module")
def context() -> InstrumentContext:
    return InstrumentContext(tiny_subject())


def compared(
    context: InstrumentContext, text: str = A, other: str = B, **arguments: Any
) -> TextComparison:
    result = call(
        "compare", {"unit": "mlp.1.5", "text": text, "other": other, **arguments}, context
    )
    assert isinstance(result, TextComparison)
    return result


def alone(context: InstrumentContext, text: str) -> list[float]:
    subject = context.require_subject()
    ids = torch.tensor([subject.tokenize(text).ids])
    return subject.unit_activations(ids, [Unit.parse("mlp.1.5")])[0, 0].tolist()


def test_each_pair_has_what_its_texts_have_alone(context: InstrumentContext) -> None:
    result = compared(context)
    first = [p.activation for p in result.pairs if p.token is not None]
    second = [p.other_activation for p in result.pairs if p.other_token is not None]
    assert first == pytest.approx(alone(context, A), rel=1e-4, abs=1e-6)
    assert second == pytest.approx(alone(context, B), rel=1e-4, abs=1e-6)
    strings = [(p.token, p.other_token) for p in result.pairs]
    assert strings == [
        ("very", "very"), (" Monday", " Tuesday"), (" the", " the"), (" cat", " cat"), (" said", " said"),
        (" not", None), (" a", " a"), (None, " blue"), (" dog", " dog"),
    ]  # fmt: skip
    for pair in result.pairs[1:]:
        if pair.token and pair.other_token:
            assert pair.activation is not None
            assert pair.other_activation is not None
            assert pair.difference == pytest.approx(
                pair.other_activation - pair.activation, rel=1e-4, abs=1e-6
            )
    assert result.pairs[0].difference is None, "the first token does not count"


def test_each_substitution_is_made_alone_and_undone_alone(context: InstrumentContext) -> None:
    result = compared(context)
    peak = result.pairs[result.largest]
    assert peak.difference is not None
    assert abs(peak.difference) == max(
        abs(p.difference) for p in result.pairs if p.difference is not None
    )
    assert [(s.removed, s.inserted) for s in result.substitutions] == [
        (" Monday", " Tuesday"), (" not", ""), ("", " blue"),
    ]  # fmt: skip
    with_one_change = ["very Tuesday the cat said not a dog", "very Monday the cat said a dog",
                       "very Monday the cat said not a blue dog"]  # fmt: skip
    with_all_others = ["very Monday the cat said a blue dog", "very Tuesday the cat said not a blue dog",
                       "very Tuesday the cat said a dog"]  # fmt: skip
    for change, changed, other in zip(
        result.substitutions, with_one_change, with_all_others, strict=True
    ):
        assert change.alone == pytest.approx(at_peak(context, changed, peak), rel=1e-4, abs=1e-6)
        assert change.undone == pytest.approx(at_peak(context, other, peak), rel=1e-4, abs=1e-6)


def at_peak(context: InstrumentContext, text: str, peak: Any) -> float:
    tokens = [
        context.require_subject().token_strings()[i]
        for i in context.require_subject().tokenize(text).ids
    ]
    at = max(i for i, token in enumerate(tokens) if token in (peak.token, peak.other_token))
    return alone(context, text)[at]


def test_pairs_of_unequal_substitutions_end_together() -> None:
    assert aligned_positions([1, 2, 3, 9], [1, 4, 9]) == [(0, 0), (2, 1), (3, 2)]
    spans = align_tokens([1, 2, 3, 9], [1, 4, 9])
    assert [(s.start, s.end, s.other_start, s.other_end) for s in spans] == [
        (0, 1, 0, 1),
        (1, 3, 1, 2),
        (3, 4, 2, 3),
    ]


def test_the_rendering_tells_the_largest_differences_first(context: InstrumentContext) -> None:
    lines = compared(context).render().splitlines()
    assert lines[0].startswith("mlp.1.5 A max ")
    assert lines[2] == "largest differences, A to B:"
    assert '" Monday" → " Tuesday": alone ' in lines[-3]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"other": A}, "the same tokens"),
        ({"unit": "mlp.1.99"}, "units 0 to 23"),
        ({"text": "the", "other": "Monday"}, "never counts"),
        ({"split": "holdout"}, "split: Extra inputs"),
    ],
)
def test_invalid_comparisons_are_refused_with_a_hint(
    context: InstrumentContext, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        compared(context, **arguments)
