"""Grammar: part of speech, form, relation, clause, coordination, place in the sentence.

    pos("noun")  form("past-tense verb")  relation("subject")  clause("relative")
    coordinated("later")  sentence("first")

Names are those of the annotations (`tools/annotation/names.py`), and of groups of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import ClassVar

from ...annotation import names
from .base import Concept, family, require
from .tagged import LayerValues, TaggedWord


@dataclass(frozen=True)
class NamedValue(TaggedWord):
    """A value of one layer by its name, or a group of them."""

    name: str

    layer: ClassVar[str] = ""
    phrases: ClassVar[Mapping[str, str]] = {}
    """Of each value and group."""

    def __post_init__(self) -> None:
        known = self.phrases
        require(
            self.name in known, f"{self.family} is one of {', '.join(known)}, not {self.name!r}"
        )

    def reading(self) -> LayerValues:
        return LayerValues(self.layer, tuple(self.groups.get(self.name, (self.name,))))

    def phrase(self) -> str:
        return self.phrases[self.name]

    def bits(self) -> float:
        return log2(len(self.phrases))

    @classmethod
    def layers(cls) -> tuple[str, ...]:
        return (cls.layer,)

    @classmethod
    def of_value(cls, layer: str, value: str) -> Concept | None:
        return cls(value) if value in cls.phrases else None


def _plurals(values: Sequence[str], special: Mapping[str, str]) -> dict[str, str]:
    return {value: special.get(value, f"{value}s") for value in values}


_NOUNS = ("noun", "proper noun")
_CONTENT = (*_NOUNS, "verb", "adjective", "adverb")


@family("pos")
@dataclass(frozen=True)
class PartOfSpeech(NamedValue):
    """A word of one part of speech, as a tagger reads it in its sentence."""

    layer: ClassVar[str] = "pos"
    groups: ClassVar[Mapping[str, Sequence[str]]] = {
        "noun or name": _NOUNS,
        "content word": _CONTENT,
        "function word": (
            "auxiliary verb", "coordinating conjunction", "determiner", "particle", "preposition",
            "pronoun", "subordinating conjunction",
        ),
    }  # fmt: skip
    phrases: ClassVar[Mapping[str, str]] = _plurals(
        [*names.POS.values(), *groups],
        {"punctuation": "punctuation marks", "noun or name": "nouns and names"},
    )


_TAG_FORMS = (
    "singular noun", "plural noun", "singular proper noun", "plural proper noun", "base verb",
    "past-tense verb", "present participle", "past participle", "plain present verb",
    "third-person present verb", "modal verb", "comparative adjective", "superlative adjective",
    "comparative adverb", "superlative adverb", "verb particle", "possessive ending",
    "personal pronoun", "question pronoun", "question adverb",
)  # fmt: skip
_FEATURE_FORMS = {
    "past form": ("tense", "past"),
    "present form": ("tense", "present"),
    "plural": ("number", "plural"),
    "singular": ("number", "singular"),
    "first person": ("person", "first"),
    "second person": ("person", "second"),
    "third person": ("person", "third"),
    "finite verb": ("verb_form", "finite"),
    "infinitive": ("verb_form", "infinitive"),
    "participle": ("verb_form", "participle"),
    "gerund": ("verb_form", "gerund"),
    "comparative": ("degree", "comparative"),
    "superlative": ("degree", "superlative"),
    "article": ("pronoun_type", "article"),
    "demonstrative": ("pronoun_type", "demonstrative"),
    "relative pronoun": ("pronoun_type", "relative"),
    "indefinite pronoun": ("pronoun_type", "indefinite"),
    "subject pronoun": ("case", "nominative"),
    "object pronoun": ("case", "accusative"),
    "masculine pronoun": ("gender", "masculine"),
    "feminine pronoun": ("gender", "feminine"),
    "neuter pronoun": ("gender", "neuter"),
    "possessive pronoun": ("possessive", "possessive"),
    "reflexive pronoun": ("reflexive", "reflexive"),
    "cardinal number": ("number_type", "cardinal"),
    "ordinal number": ("number_type", "ordinal"),
    "negation": ("polarity", "negative"),
    "definite article": ("definite", "definite"),
    "indefinite article": ("definite", "indefinite"),
    "perfect participle": ("aspect", "perfect"),
    "progressive participle": ("aspect", "progressive"),
    "imperative": ("mood", "imperative"),
}
_FORMS: dict[str, tuple[str, str]] = {name: ("tag", name) for name in _TAG_FORMS} | _FEATURE_FORMS
_FORM_OF = {place: name for name, place in _FORMS.items()}


@family("form")
@dataclass(frozen=True)
class WordForm(NamedValue):
    """A word in one form: past tense, plural, comparative, ..."""

    phrases: ClassVar[Mapping[str, str]] = _plurals(
        list(_FORMS),
        {
            "past form": "past forms of verbs",
            "present form": "present forms of verbs",
            "plural": "plural words",
            "singular": "singular words",
            "first person": "first-person words",
            "second person": "second-person words",
            "third person": "third-person words",
        },
    )

    def reading(self) -> LayerValues:
        layer, value = _FORMS[self.name]
        return LayerValues(layer, (value,))

    @classmethod
    def layers(cls) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer for layer, _ in _FORMS.values()))

    @classmethod
    def of_value(cls, layer: str, value: str) -> Concept | None:
        name = _FORM_OF.get((layer, value))
        return cls(name) if name else None


@family("relation")
@dataclass(frozen=True)
class Relation(NamedValue):
    """A word in one grammatical relation to the word that it depends on."""

    layer: ClassVar[str] = "relation"
    groups: ClassVar[Mapping[str, Sequence[str]]] = {
        "any subject": ("subject", "passive subject", "clausal subject"),
        "any object": ("object", "indirect object", "object of a preposition"),
    }
    phrases: ClassVar[Mapping[str, str]] = _plurals(
        [*dict.fromkeys(names.RELATIONS.values()), *groups],
        {
            "main predicate": "main predicates",
            "adverbial clause": "verbs of adverbial clauses",
            "adverbial noun": "nouns used as adverbials",
            "agent": "agents of passives",
            "any object": "objects of verbs or prepositions",
            "any subject": "subjects of any kind",
            "attributive adjective": "adjectives before nouns",
            "auxiliary": "auxiliaries",
            "clausal passive subject": "clauses as passive subjects",
            "clausal subject": "clauses as subjects",
            "clause complement": "verbs of object clauses",
            "clause of a noun": "verbs of clauses after nouns",
            "complement of a preposition": "verbs after prepositions",
            "compound modifier": "first parts of compounds",
            "conjunct": "words joined to an earlier one",
            "determiner": "determiners of nouns",
            "infinitive complement": "verbs of infinitive clauses",
            "negation": "negations of verbs",
            "object": "objects of verbs",
            "object of a preposition": "objects of prepositions",
            "parenthesis": "verbs of parentheses",
            "passive auxiliary": "passive auxiliaries",
            "passive subject": "subjects of passives",
            "prepositional phrase": "prepositions of phrases",
            "punctuation": "punctuation of clauses",
            "relative clause": "verbs of relative clauses",
            "verb particle": "particles of verbs",
        },
    )


@family("clause")
@dataclass(frozen=True)
class Clause(NamedValue):
    """A word whose innermost clause is of one kind."""

    layer: ClassVar[str] = "clause"
    phrases: ClassVar[Mapping[str, str]] = {
        kind: f"words in {kind} clauses" for kind in dict.fromkeys(names.CLAUSES.values())
    }


@family("coordinated")
@dataclass(frozen=True)
class Coordinated(NamedValue):
    """The first, or a later, item of a coordination: *bread, butter and jam*."""

    layer: ClassVar[str] = "conjunct"
    phrases: ClassVar[Mapping[str, str]] = {
        "first": "first items of lists",
        "later": "later items of lists",
    }


@family("sentence")
@dataclass(frozen=True)
class SentencePlace(NamedValue):
    """The first or last word of a sentence, as a tagger divides the text."""

    layer: ClassVar[str] = "sentence_place"
    phrases: ClassVar[Mapping[str, str]] = {
        "first": "first words of sentences",
        "last": "last words of sentences",
    }
