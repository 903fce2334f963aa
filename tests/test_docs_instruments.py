"""docs/instruments.md: every instrument has an example that can be called; cheap ones still print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import hubel
from hubel.agent.cli.commands.tool import _pair
from hubel.tools.instruments import InstrumentContext, call, get, instruments
from hubel.tools.subject.subject import Subject

PAGE = (Path(hubel.__file__).parent / "docs" / "instruments.md").read_text(encoding="utf-8")
CHEAP = ("activations.on_text", "compare", "logit_lens", "nearest", "patch")
"""They need no index, and a second together."""


class PrintedExample(NamedTuple):
    """A call of the page, and what it prints."""

    name: str
    arguments: dict[str, Any]
    output: str


def examples() -> list[PrintedExample]:
    printed = []
    for command, output in re.findall(
        r"```console\n\$ (hubel tool [^\n]*)\n(.*?)\n```", PAGE, re.DOTALL
    ):
        name, *pairs = shlex.split(command)[2:]
        printed.append(PrintedExample(name, dict(map(_pair, pairs)), output))
    return printed


def test_every_instrument_has_a_row_and_an_example() -> None:
    assert sorted(example.name for example in examples()) == sorted(instruments())
    assert sorted(re.findall(r"^\| `([a-z_.]+)` \|", PAGE, re.MULTILINE)) == sorted(instruments())


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.name)
def test_the_arguments_of_an_example_are_right(example: PrintedExample) -> None:
    get(example.name).arguments.model_validate(example.arguments)
    assert example.output


@pytest.mark.subject
def test_what_stands_there_is_what_is_printed(subject: Subject) -> None:
    printed = {example.name: example for example in examples()}
    for name in CHEAP:
        assert (
            call(name, printed[name].arguments, InstrumentContext(subject)).render()
            == printed[name].output
        )
