"""Words of the probing tasks."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb: with a plural, with a singular, and in the past."""

    base: str
    singular: str
    past: str


class Noun(NamedTuple):
    """A noun in both numbers."""

    singular: str
    plural: str


class ObjectKind(NamedTuple):
    """Verbs, in the past, and the nouns that make sense as their objects."""

    verbs: tuple[str, ...]
    nouns: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _nouns(text: str) -> tuple[Noun, ...]:
    """Nouns written as `teacher man/men`; a plural that is not written ends in s."""
    entries = (entry.split("/") for entry in text.split())
    return tuple(Noun(entry[0], entry[1] if entry[1:] else f"{entry[0]}s") for entry in entries)


def _verbs(text: str) -> tuple[Verb, ...]:
    """Verbs written as `help leave/left`; a past that is not written ends in ed."""
    verbs = []
    for entry in text.split():
        base, _, past = entry.partition("/")
        ending = "es" if base.endswith(("s", "sh", "ch")) else "s"
        regular = f"{base}d" if base.endswith("e") else f"{base}ed"
        verbs.append(Verb(base, base + ending, past or regular))
    return tuple(verbs)


PEOPLE = _nouns(
    "teacher doctor farmer student lawyer singer driver nurse baker pilot guard painter writer "
    "actor dancer judge banker tailor sailor soldier neighbor friend cousin guest clerk cook hunter "
    "miner priest king queen prince girl boy woman/women man/men child/children engineer artist "
    "manager officer player visitor waiter gardener plumber reporter scientist tourist butcher"
)
PLACES = _nouns(
    "house school garden station market bridge river church/churches office kitchen hotel museum "
    "park theater castle harbor village forest beach/beaches tower hospital prison shop farm"
)
THINGS = _nouns(
    "lamp chair clock mirror table basket bottle carpet painting ring necklace camera radio bicycle "
    "umbrella pillow candle hammer ladder statue vase bucket trumpet telescope"
)
VERBS = _verbs(
    "help follow call visit like watch meet/met know/knew find/found thank invite remember blame "
    "praise greet admire trust miss fear warn join leave/left choose/chose hire teach/taught "
    "hear/heard catch/caught fight/fought kick push pull answer question ignore mention describe "
    "recognize see/saw forget/forgot accuse love hate need want defend attack punish reward surprise"
)
"""With a person as object."""
SAYING = _verbs("say/said think/thought believe claim hope suppose doubt notice")
"""With a clause as object."""
ADJECTIVES = _words(
    "old young tall short happy sad kind rich poor clever quiet famous tired brave busy lazy polite "
    "proud gentle honest strange lonely angry calm"
)
ADVERBS = _words("quickly slowly quietly gladly often rarely suddenly calmly secretly openly")
PREPOSITIONS = _words("near behind beside outside inside opposite")

KINDS = {
    "food": ObjectKind(
        ("ate", "cooked", "chewed"), ("bread", "soup", "cheese", "rice", "cake", "meat")
    ),
    "drink": ObjectKind(("drank", "sipped"), ("water", "milk", "tea", "coffee", "juice", "wine")),
    "vehicle": ObjectKind(("drove", "parked"), ("car", "truck", "bus", "taxi", "van", "tractor")),
    "text": ObjectKind(
        ("edited", "published"), ("letter", "book", "poem", "novel", "report", "article")
    ),
    "clothes": ObjectKind(
        ("wore", "ironed"), ("coat", "shirt", "dress", "jacket", "skirt", "scarf")
    ),
    "instrument": ObjectKind(("tuned",), ("guitar", "piano", "violin", "cello", "harp", "banjo")),
    "animal": ObjectKind(("fed", "tamed"), ("dog", "horse", "cat", "rabbit", "goat", "parrot")),
    "plant": ObjectKind(("pruned", "planted"), ("tree", "rose", "bush", "hedge", "vine", "shrub")),
    "building": ObjectKind(("inhabited",), ("house", "tower", "cottage", "cabin", "barn", "hut")),
    "blade": ObjectKind(("sharpened",), ("knife", "axe", "razor", "sword", "dagger", "chisel")),
    "payment": ObjectKind(("paid", "owed"), ("debt", "rent", "fine", "tax", "fee", "loan")),
}
COMPATIBLE = frozenset({frozenset({"food", "drink"}), frozenset({"food", "animal"})})
"""Kinds that make sense with one another's verbs: people cook rabbits."""
