"""A task is a function that draws one example, from the words and templates of its part of the data.

    @task("capital", "the capital of a country")
    def capital(draw: Draw) -> Example:
        (country, city), (other_country, other_city) = draw.pair(CAPITALS)
        return twin_prompts(
            draw.choice(TEMPLATES),
            {"country": country},
            {"country": other_country},
            answer=[f" {city}"],
            foil=[f" {other_city}"],
        )

Discovery and held-out prompts share no name, template or value: `draw.choice` and its relatives see
every second entry of a list, the half that belongs to the part. To add a task, add a file to this
folder.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple, TypeVar, get_args

from ...errors import UsageError
from ..prompts import PromptPair

Part = Literal["discovery", "heldout"]
Entry = TypeVar("Entry")
Span = tuple[int, int]

TRIES = 40
"""Draws in a row without a new example (more as examples add up) before a task counts as exhausted."""
_SLOT = re.compile(r"\{(\w+)\}")


class Example(NamedTuple):
    """A clean prompt and its corrupted twin, with the positions of the words that roles may refer to.

    Attributes:
        marks: name to character span of the clean prompt; a mark means the last token in its span.
        words: words that must be one token each, as answers and foils must; else the example is
            left out.
    """

    pair: PromptPair
    marks: Mapping[str, Span]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draw:
    """A random generator that draws only from entries of one part of the data.

    Attributes:
        lexicon: lowercase words that, after a space, are one token of the subject's vocabulary.
    """

    part: Part
    rng: random.Random
    lexicon: Sequence[str] = field(default=())

    def own_half(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """The half of the entries that this part may use: every second one."""
        return entries[get_args(Part).index(self.part) :: 2]

    def choice(self, entries: Sequence[Entry]) -> Entry:
        """Draw one entry of this part."""
        return self.rng.choice(self.own_half(entries))

    def sample(self, entries: Sequence[Entry], n: int) -> list[Entry]:
        """Draw n different entries of this part."""
        return self.rng.sample(self.own_half(entries), n)

    def pair(self, entries: Sequence[Entry]) -> tuple[Entry, Entry]:
        """Draw two different entries of this part."""
        first, second = self.sample(entries, 2)
        return first, second


Drawer = Callable[[Draw], Example]


@dataclass(frozen=True)
class Task:
    """A named task; `summary` says what the subject has to do."""

    name: str
    summary: str
    draw: Drawer
    own: bool = False
    """Whether a user's file gives the pairs. A pair that does not suit the subject is then an error."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Number of rows of the user's file that are not used, by reason."""


TASKS: dict[str, Task] = {}


def task(name: str, summary: str) -> Callable[[Drawer], Drawer]:
    """Register a task; raises UsageError if the name is taken."""

    def register(draw: Drawer) -> Drawer:
        if name in TASKS:
            raise UsageError(f"a task named {name!r} is registered already")
        TASKS[name] = Task(name, summary, draw)
        return draw

    return register


def words(text: str) -> tuple[str, ...]:
    """Split a list of words that is written as one text."""
    return tuple(text.split())


def word_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Split pairs of words that are written as `hot/cold big/small`."""
    pairs = (entry.split("/") for entry in text.split())
    return tuple((first, second) for first, second in pairs)


def fill_template(template: str, slots: Mapping[str, str]) -> tuple[str, dict[str, Span]]:
    """Fill in a template's `{slots}`; returns the text and the character span of each slot."""
    text, spans, copied = "", dict[str, Span](), 0
    for match in _SLOT.finditer(template):
        name = match[1]
        text += template[copied : match.start()]
        spans[name] = (len(text), len(text) + len(slots[name]))
        text += slots[name]
        copied = match.end()
    return text + template[copied:], spans


def twin_prompts(
    template: str,
    clean: Mapping[str, str],
    corrupted: Mapping[str, str],
    answer: Sequence[str],
    foil: Sequence[str],
    words: Sequence[str] = (),
) -> Example:
    """Make an example whose two prompts fill the same template.

    Args:
        corrupted: the slots that the corrupted prompt changes.
        answer: right next tokens of the clean prompt, with their leading space, if any.
        foil: wrong ones, written in the same way.
        words: words that must be one token each.
    """
    clean_text, marks = fill_template(template, clean)
    corrupted_text, _ = fill_template(template, {**clean, **corrupted})
    pair = PromptPair(clean_text, corrupted_text, tuple(answer), tuple(foil))
    return Example(pair, marks, tuple(words))


def draw_examples(
    task: Task, part: Part, seed: int, lexicon: Sequence[str] = ()
) -> Iterator[Example]:
    """Draw examples with different clean prompts, until the task seems to have no more."""
    draw = Draw(part, random.Random(f"{task.name} {part} {seed}"), lexicon)
    seen, repeats = set[str](), 0
    while repeats < TRIES * (1 + len(seen) // 8):
        example = task.draw(draw)
        repeats += 1
        if example.pair.clean not in seen:
            seen.add(example.pair.clean)
            repeats = 0
            yield example


def first_examples(
    task: Task, part: Part, n: int, seed: int = 0, lexicon: Sequence[str] = ()
) -> list[Example]:
    """Draw the first n examples of a part; fewer if the task has fewer."""
    return list(islice(draw_examples(task, part, seed, lexicon), n))
