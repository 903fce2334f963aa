"""Subjects without a described wiring: the error says so, and not which family they are of."""

from __future__ import annotations

from typing import Any

import pytest

from hubel.tools.errors import ArgumentError
from hubel.tools.instruments import InstrumentContext, call
from tests.support.tiny import tiny_subject


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("nearest", {"unit": "head.1.0"}), ("upstream", {"unit": "mlp.1.5", "text": "the dog said"})],
)
def test_the_error_names_neither_the_family_nor_a_file(
    name: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match="wiring is not described") as caught:
        call(name, arguments, InstrumentContext(tiny_subject("gemma2")))
    assert "gemma" not in str(caught.value)
    assert ".py" not in str(caught.value)
