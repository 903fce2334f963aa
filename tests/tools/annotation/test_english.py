"""Which texts an English tagger suits."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.annotation import english_problem
from hubel.tools.dissection import Lexicon, TextView

ENGLISH = (
    "The committee said that it had not been told of the plan. Its members will meet in the city on "
    "Monday, and they are expected to ask who was responsible for the losses. “What can we do?” the "
    "chairman asked. He has been with the company for ten years."
)
GERMAN = (
    "Der Ausschuss sagte, er sei über den Plan nicht unterrichtet worden. Seine Mitglieder treffen sich "
    "am Montag in der Stadt und wollen fragen, wer für die Verluste verantwortlich war. „Was können wir "
    "tun?“, fragte der Vorsitzende. Er ist seit zehn Jahren bei der Firma, die in Hamburg sitzt."
)
CHINESE = "委员会表示，他们没有被告知这一计划。成员们将于星期一在市内开会，并询问谁应对损失负责。我们能做什么？"
FRENCH = (
    "Le comité a dit qu’il n’avait pas été informé du plan. Ses membres se réuniront lundi en ville, et "
    "ils veulent savoir qui est responsable des pertes. Que pouvons-nous faire ? a demandé le président."
)
CODE = (
    "for (int i = 0; i < count; i++) {\n    values[i] = read_value(stream);\n}\nreturn values;\n"
    * 4
)


def problem(pieces: list[str]) -> str:
    return english_problem(pieces, np.arange(len(pieces))[None, :], np.array([len(pieces)]))


def words_of(text: str) -> list[str]:
    return [f" {word}" for word in text.split(" ")]


def test_english_prose_is_fine() -> None:
    assert problem(words_of(ENGLISH)) == ""


@pytest.mark.parametrize("text", [GERMAN, FRENCH, CODE])
def test_other_languages_and_code_are_not_english(text: str) -> None:
    assert "% of its words are common English function words" in problem(words_of(text))


def test_chinese() -> None:
    assert "not English prose: 0%" in problem(list(CHINESE))


def test_words_without_sentences() -> None:
    listed = ENGLISH.replace(".", "").replace("?", "")
    assert "the text has no sentences: 0 full stops" in problem(words_of(listed))


@pytest.mark.parametrize("pieces", [list(ENGLISH), [f"<0x{b:02X}>" for b in "你好。".encode()] * 5])
def test_tokens_that_are_characters_or_bytes(pieces: list[str]) -> None:
    assert problem(pieces)


def test_tokens_that_are_characters_are_named_as_the_reason() -> None:
    assert "the subject's tokens are too short: 5" in problem(list(ENGLISH))


@pytest.mark.parametrize("pieces", [["1", " 2", "."], [" "]])
def test_a_text_without_words(pieces: list[str]) -> None:
    assert problem(pieces) == "the text has no words"


def test_nothing_is_tagged_to_find_that_out() -> None:
    class Refusing:
        def annotate(self, tokens: np.ndarray, length: np.ndarray) -> object:
            raise AssertionError("a text that is not English was tagged")

    pieces = words_of(GERMAN)
    lexicon = Lexicon(pieces, annotator=Refusing())  # pyright: ignore[reportArgumentType]
    text = TextView(np.arange(len(pieces))[None, :], np.array([len(pieces)]), lexicon)
    assert "not English prose" in text.annotation_problem
