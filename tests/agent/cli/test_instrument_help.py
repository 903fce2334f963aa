"""An instrument's schema as help for people."""

from __future__ import annotations

import pytest

from hubel.agent.cli.instrument_help import manual
from hubel.tools.instruments import get, instruments


def test_types_bounds_choices_and_defaults_are_in_words() -> None:
    lines = manual(get("steer")).splitlines()
    assert (
        "  strengths    list of 1 to 8 numbers; in units of its activation; several are compared"
        in lines
    )
    assert '  op           add | set | scale, default "add"' in lines
    assert "  new_tokens   whole number 0 to 64, default 12" in lines
    assert any(line.startswith("  focus        text, optional; ") for line in lines)
    assert (
        lines[-2] == "  hubel tool steer unit=mlp.12.803 text=\"...\" strengths='[1, 2]' --index I"
    )


@pytest.mark.parametrize("name", instruments())
def test_every_argument_has_its_line(name: str) -> None:
    text = manual(get(name))
    for argument in get(name).arguments.model_fields:
        assert f"\n  {argument} " in text
    assert "anyOf" not in text
    assert "minItems" not in text
