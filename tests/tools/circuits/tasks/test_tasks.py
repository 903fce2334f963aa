"""Tasks: discovery and held-out prompts have nothing in common, and what does not fit is left out or shown."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import get_args

import pytest

from hubel.tools.circuits.prompts import PromptPair
from hubel.tools.circuits.tasks import all_tasks, find_task
from hubel.tools.circuits.tasks.heldout import heldout
from hubel.tools.circuits.tasks.prepared import prepare
from hubel.tools.circuits.tasks.task import (
    Draw,
    Example,
    Part,
    Task,
    draw_examples,
    fill_template,
    first_examples,
    task,
)
from hubel.tools.errors import UsageError
from tests.support.tiny import tiny_subject

LEXICON = [f"word{number}" for number in range(60)]
CLOSED = {"pronoun": {" he", " she"}, "greater-than": set("0123456789")}
"""Answers that come from a class of so few members that no part can have its own."""


def draws(name: str, part: Part) -> list[Example]:
    return first_examples(all_tasks()[name], part, 200, lexicon=LEXICON)


@pytest.mark.parametrize("name", sorted(all_tasks()))
def test_no_prompt_answer_or_marked_word_is_on_both_sides(name: str) -> None:
    sides = [draws(name, part) for part in get_args(Part)]
    for values in (
        lambda e: [e.pair.clean, e.pair.corrupted],
        lambda e: marked(e),
        lambda e: e.pair.answer,
    ):
        discovery, heldout = sides
        here = {value for example in discovery for value in values(example)}
        there = {value for example in heldout for value in values(example)}
        assert not (here & there) - CLOSED.get(name, set())


def marked(example: Example) -> list[str]:
    """The words that fill the slots; digits of a year are too few to be parted."""
    return [
        text
        for start, end in example.marks.values()
        if not (text := example.pair.clean[start:end]).isdigit()
    ]


@pytest.mark.parametrize("name", sorted(set(all_tasks()) - {"induction"}))
def test_templates_are_parted(name: str) -> None:
    """What is left of a prompt without its slots; rows of random words have no template."""
    skeletons = [
        {re.sub(r"\d", "", skeleton(example)) for example in draws(name, part)}
        for part in get_args(Part)
    ]
    assert not skeletons[0] & skeletons[1]


def skeleton(example: Example) -> str:
    text = example.pair.clean
    for start, end in sorted(example.marks.values(), reverse=True):
        text = text[:start] + "_" + text[end:]
    return text


@pytest.mark.parametrize("name", sorted(all_tasks()))
def test_twins_differ_and_no_answer_is_a_foil(name: str) -> None:
    for example in draws(name, "discovery"):
        pair = example.pair
        assert pair.clean != pair.corrupted
        assert pair.answer
        assert pair.foil
        assert not set(pair.answer) & set(pair.foil)


def test_the_same_seed_draws_the_same_and_another_others() -> None:
    ioi = all_tasks()["ioi"]
    assert first_examples(ioi, "discovery", 20) == first_examples(ioi, "discovery", 20)
    assert first_examples(ioi, "discovery", 20) != first_examples(ioi, "discovery", 20, seed=1)
    assert list(islice(heldout(ioi), 5)) == first_examples(ioi, "heldout", 5)


def test_a_task_of_few_prompts_runs_dry() -> None:
    assert 20 < len(list(draw_examples(all_tasks()["successor"], "heldout", 0))) < 200


def test_indirect_objects_are_marked_and_answer() -> None:
    example = draws("ioi", "discovery")[0]
    at = {name: example.pair.clean[start:end] for name, (start, end) in example.marks.items()}
    assert (f" {at['IO']}",) == example.pair.answer
    assert at["S1"] == at["S2"]
    assert (f" {at['S1']}",) == example.pair.foil


def test_slots_are_found_where_they_stand() -> None:
    text, marks = fill_template("the {a} and {b}", {"a": "cat", "b": "dog"})
    assert text == "the cat and dog"
    assert {name: text[start:end] for name, (start, end) in marks.items()} == {
        "a": "cat",
        "b": "dog",
    }


def test_batches_have_one_length_and_marks_stand_on_tokens() -> None:
    examples = [
        Example(
            PromptPair("the cat was", "the dog was", (" red",), (" blue",)), {"animal": (4, 7)}
        ),
        Example(
            PromptPair("on Monday the cat was", "on Monday the dog was", (" red",), (" blue",)),
            {"animal": (14, 17)},
        ),
    ]
    prepared = prepare(tiny_subject(), plain_task(), examples, 10)
    assert [(batch.pairs.n_tokens, batch.marks) for batch in prepared.batches] == [
        (3, {"animal": (1,)}),
        (5, {"animal": (3,)}),
    ]


@pytest.mark.parametrize(
    ("pair", "why"),
    [
        (
            PromptPair("the cat", "the cat was", (" red",), (" blue",)),
            "the twins have different lengths",
        ),
        (PromptPair("the cat", "the dog", (" purple",), (" blue",)), "a word is several tokens"),
        (PromptPair("the cat", "the dog", (" red",), (" red",)), "an answer is a foil"),
        (PromptPair("the cat", "the cat", (" red",), (" blue",)), "the twins are the same"),
    ],
)
def test_what_does_not_fit_is_counted_or_of_a_users_own_shown(pair: PromptPair, why: str) -> None:
    good = Example(PromptPair("the cat was", "the dog was", (" red",), (" blue",)), {})
    prepared = prepare(tiny_subject(), plain_task(), [Example(pair, {}), good], 10)
    assert prepared.left_out == {why: 1}
    assert len(prepared) == 1
    with pytest.raises(UsageError, match=why):
        prepare(tiny_subject(), plain_task(own=True), [Example(pair, {}), good], 10)


def test_a_task_without_a_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match="no prompt"):
        prepare(tiny_subject(), all_tasks()["capital"], draws("capital", "discovery"), 4)


def plain_task(own: bool = False) -> Task:
    def draw(_: Draw) -> Example:
        raise NotImplementedError

    return Task("plain", "", draw, own)


def test_unknown_and_taken_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ioi"):
        find_task("iou")
    with pytest.raises(UsageError, match="no file"):
        find_task(str(tmp_path / "none.csv"))
    with pytest.raises(UsageError, match="already"):
        task("ioi", "again")(plain_task().draw)
