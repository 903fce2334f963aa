"""Prompt files: read by name, with the names that they say they expect."""

from __future__ import annotations

import pytest

from hubel import prompts
from hubel.tools.errors import CorruptError, UsageError

WHOLE = "---\nversion: 3\nexpects: a, b\n---\n# system\nSay {{a}}.\n# user\n{{b}}\n"


@pytest.mark.parametrize("name", prompts.names())
def test_every_prompt_of_the_folder_is_whole(name):
    prompt = prompts.load(name)
    assert prompt.version >= 1
    assert len(prompt.sha256) == 16
    filled = prompt.fill(**{expected: f"<{expected}>" for expected in prompt.expects})
    for expected in prompt.expects:
        assert f"<{expected}>" in filled.system + filled.user
    assert "{{" not in filled.system + filled.user


@pytest.mark.parametrize("name", prompts.names())
def test_what_is_the_same_for_every_unit_comes_first(name):
    """The system part, which providers cache, holds nothing that a unit changes."""
    system = prompts.load(name).system.replace("{{concepts}}", "the same for all")
    assert "{{" not in system


def test_values_are_filled_in_once():
    filled = prompts.parse("x", WHOLE).fill(a="{{b}}", b="text")
    assert filled == ("Say {{b}}.", "text")


def test_a_missing_or_unknown_name_says_what_is_expected():
    with pytest.raises(UsageError, match="expects a, b"):
        prompts.parse("x", WHOLE).fill(a="1")
    with pytest.raises(UsageError, match=r"no prompt 'nothing'; known: .*detection"):
        prompts.load("nothing")


def test_another_text_has_another_hash():
    assert (
        prompts.parse("x", WHOLE).sha256 != prompts.parse("x", WHOLE.replace("Say", "Tell")).sha256
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no head", "lacks its head"),
        (WHOLE.replace("# user", "# usr"), "lacks its head"),
        (WHOLE.replace("{{b}}", "b"), "says that it expects"),
        (WHOLE.replace("{{b}}", "{{b}} {{c}}"), "says that it expects"),
    ],
)
def test_a_damaged_file_says_what_is_off(text, problem):
    with pytest.raises(CorruptError, match=problem):
        prompts.parse("x", text)
