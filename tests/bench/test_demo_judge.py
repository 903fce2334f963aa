"""The demo model answers what scorers ask, in the form that they can read."""

from __future__ import annotations

import numpy as np

from hubel.agent.llm.judge_adapter import LanguageModelJudge
from hubel.bench.loopback.demo_model import DemoModel
from hubel.evals.judge.ask import ask_examples
from hubel.evals.judge.puzzles import answer_positions, ask_puzzles, puzzle_text
from hubel.evals.scorers.generative import write_passages
from hubel.evals.scorers.llm_simulation import _Question
from hubel.evals.scorers.windows import TokenText

JUDGE = LanguageModelJudge(DemoModel())
CLAIM = 'Fires on "cat" and "river".'


def test_it_decides_by_the_words_of_the_description() -> None:
    for prompt, texts in {
        "detection": ["the cat sat", "a dog ran", "1. by the River: wide"],
        "fuzzing": ["the <<cat>> sat", "a <<dog>> and a cat", "by the <<river>>"],
    }.items():
        choices = ask_examples(JUDGE, prompt, texts, ("0", "1"), explanation=CLAIM)
        assert [choice.choice for choice in choices] == [1, 0, 1]


def test_it_finds_the_passage_that_does_not_belong() -> None:
    positions = answer_positions(8, 4, seed=0)
    same = ["a <<cat>> sat", "the <<cat>> ran", "one <<cat>> slept"]
    puzzles = [puzzle_text("the <<tax>> law", same, int(p)) for p in positions]
    assert ask_puzzles(JUDGE, "intruder", puzzles, positions, 4).mean() == 1.0


def test_it_simulates_token_by_token() -> None:
    text = TokenText(np.array([[0, 1, 2]]), np.array([3]), ["The", " cat", ' "sat"'])
    assert _Question(JUDGE, CLAIM, 0).ask_with_retry(text, [0]) == {(0, 0): 0, (0, 1): 8, (0, 2): 0}


def test_it_writes_passages() -> None:
    passages = write_passages(JUDGE, CLAIM)
    assert len(set(passages)) == 20
    assert all("cat" in passage or "river" in passage for passage in passages)
