"""How classes are written and what they are called."""

from __future__ import annotations

import pytest

from hubel.tools.errors import UsageError
from hubel.tools.lexica import ClassKey, class_phrase, is_nameable, parse_key
from hubel.tools.lexica.class_phrase import listed_names, plural


@pytest.mark.parametrize(
    "key",
    [
        ClassKey("animal"),
        ClassKey("bank", number=2),
        ClassKey("day of the week"),
        ClassKey("travel", "v"),
        ClassKey("move", "v", 12),
        ClassKey("big", "a"),
        ClassKey("size", is_attribute=True),
        ClassKey("worth", "n", 2, is_attribute=True),
        ClassKey("asian country", "p"),
        ClassKey("vitamin a"),
        ClassKey("u 2"),
        ClassKey("family values"),
    ],
)
def test_what_is_written_reads_back(key: ClassKey) -> None:
    assert parse_key(key.to_text()) == key


@pytest.mark.parametrize("written", ["", " animal", "animal "])
def test_what_is_no_class_is_refused(written: str) -> None:
    with pytest.raises(UsageError, match="written like"):
        parse_key(written)


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("animal", "animals"),
        ("day of the week", "days of the week"),
        ("body of water", "bodies of water"),
        ("musical instrument", "musical instruments"),
        ("policeman", "policemen"),
        ("human", "humans"),
        ("church", "churches"),
        ("country", "countries"),
        ("key", "keys"),
        ("spacecraft", "spacecraft"),
    ],
)
def test_plurals(noun: str, many: str) -> None:
    assert plural(noun) == many


@pytest.mark.parametrize(
    ("written", "phrase"),
    [
        ("animal", "animals"),
        ("musician", "musicians"),
        ("country 2", "countries"),
        ("kill v", "ways to kill"),
        ("size values", "adjectives of size"),
        ("beautiful a", 'adjectives like "beautiful"'),
    ],
)
def test_phrases(written: str, phrase: str) -> None:
    assert is_nameable(parse_key(written))
    assert class_phrase(parse_key(written)) == phrase


@pytest.mark.parametrize("written", ["entity", "thing 12", "track 3", "act v"])
def test_what_says_nothing_is_no_name(written: str) -> None:
    assert not is_nameable(parse_key(written))


def test_every_listed_class_is_written_as_classes_are() -> None:
    assert [key for key in listed_names() if parse_key(key).to_text() != key] == []
