"""Prose out of wiki markup."""

from __future__ import annotations

import time

import pytest

from hubel.tools.corpus.wikitext import wikitext_to_prose

CASES = {
    "links": (
        "a [[cat]], [[dog|two dogs]] and [[Boat (film)|boats]]s",
        "a cat, two dogs and boatss",
    ),
    "files": ("[[File:x.jpg|thumb|A [[cat]] sits]]Text [[Category:Cats]][[fr:Chat]]", "Text"),
    "emphasis": ("'''Bold''' and ''it's''", "Bold and it's"),
    "templates": ("{{Infobox|a={{b|{{c}}}}}}Text {{cite}}here", "Text here"),
    "tables": (
        'Before\n{| class="x"\n|-\n| {{cell}} || b\n{| inner |}\n|}\nAfter',
        "Before\n\nAfter",
    ),
    "references": ('A<ref name="x" />b<ref>{{cite}}, [http://x y]</ref>.<!-- no -->', "Ab."),
    "mathematics": ("so <math>\\frac{1}{2}</math> it <sub>2</sub>", "so it 2"),
    "outer links": ("see [http://example.org the site] http://example.org", "see the site"),
    "entities": ("A&nbsp;&amp;&amp;nbsp;B &mdash; C", "A & B — C"),
    "lists": ("* one\n** two\n# three\n: four", "one\ntwo\nthree\nfour"),
    "pronunciation": ("Aristotle ({{IPA|x}}; Greek) and ({{x}})", "Aristotle (Greek) and"),
    "headings": ("Text\n== Early life ==\nMore", "Text\n\nEarly life\n\nMore"),
    "list sections": (
        "Text\n== See also ==\n* x\n=== Sub ===\n* y\n== Life ==\nMore\n==References==\n{{x}}",
        "Text\n\nLife\n\nMore",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_markup_becomes_prose(case: str) -> None:
    markup, expected = CASES[case]
    assert wikitext_to_prose(markup) == expected


@pytest.mark.parametrize(
    "markup",
    ["{{" * 20_000, "[[" * 20_000, "{{a" * 5000 + "}}" * 5000, "{|" * 20_000, "<ref" * 20_000],
)
def test_hostile_markup_ends(markup: str) -> None:
    start = time.process_time()
    wikitext_to_prose(markup)
    assert time.process_time() - start < 5
