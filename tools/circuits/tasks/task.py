"""What a task is: a function that draws one example, from words and templates that its part of the
data may use.

    @task("capital", "the capital of a country")
    def capital(draw: Draw) -> Example:
        (country, city), (other, foil) = draw.two(COUNTRIES) template = draw.choice(TEMPLATES)
        return twins(template, template, {"country": country}, {"country": other}, answer=city,
        foil=foil)

Discovery and held-out prompts share no name, template or value: `draw.choice` sees every second
entry of a list, those of its own part. A further task is one new file in this folder.
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
"""Draws for each example that is asked for; a task of few values runs dry before."""
_SLOT = re.compile(r"\{(\w+)\}")


class Example(NamedTuple):
    """A pair of twins, and where the words stand that a role may be about.

    Attributes:
        marks: name to characters of the clean prompt; a mark stands for the last token that it touches.
        words: what must be one token each, or the example is left out (the answer and the foil always must).
    """

    pair: PromptPair
    marks: Mapping[str, Span]
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Draw:
    """The dice of one part of the data.

    Attributes:
        lexicon: lowercase words of one token each, behind a space, in the subject's vocabulary.
    """

    part: Part
    rng: random.Random
    lexicon: Sequence[str] = field(default=())

    def half(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Every second entry: those of this part."""
        return entries[get_args(Part).index(self.part) :: 2]

    def choice(self, entries: Sequence[Entry]) -> Entry:
        """One entry of this part."""
        return self.rng.choice(self.half(entries))

    def sample(self, entries: Sequence[Entry], n: int) -> list[Entry]:
        """n different entries of this part."""
        return self.rng.sample(self.half(entries), n)

    def pair(self, entries: Sequence[Entry]) -> tuple[Entry, Entry]:
        """Two different entries of this part."""
        first, second = self.sample(entries, 2)
        return first, second


Drawer = Callable[[Draw], Example]


@dataclass(frozen=True)
class Task:
    """A task by name; `summary` says what the subject has to do."""

    name: str
    summary: str
    draw: Drawer
    own: bool = False
    """A user's file: what does not fit the subject is refused and shown, not left out."""


TASKS: dict[str, Task] = {}


def task(name: str, summary: str) -> Callable[[Drawer], Drawer]:
    """Register a task; raises UsageError when its name is taken."""

    def register(draw: Drawer) -> Drawer:
        if name in TASKS:
            raise UsageError(f"a task named {name!r} is registered already")
        TASKS[name] = Task(name, summary, draw)
        return draw

    return register


def words(text: str) -> tuple[str, ...]:
    """The words of a list that is written as text."""
    return tuple(text.split())


def word_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Couples of words that are written as `one/two one/two`."""
    return tuple((one, two) for one, two in (entry.split("/") for entry in text.split()))


def fill_template(template: str, slots: Mapping[str, str]) -> tuple[str, dict[str, Span]]:
    """A template with its `{slots}` filled in, and where each slot's text stands."""
    text, marks, at = "", dict[str, Span](), 0
    for match in _SLOT.finditer(template):
        text += template[at : match.start()]
        marks[match[1]] = (len(text), len(text) + len(slots[match[1]]))
        text += slots[match[1]]
        at = match.end()
    return text + template[at:], marks


def twin_prompts(
    template: str,
    clean: Mapping[str, str],
    corrupted: Mapping[str, str],
    answer: Sequence[str],
    foil: Sequence[str],
    words: Sequence[str] = (),
) -> Example:
    """An example whose twins fill one template; answers and foils are written with their leading space, if any."""
    text, marks = fill_template(template, clean)
    pair = PromptPair(
        text, fill_template(template, {**clean, **corrupted})[0], tuple(answer), tuple(foil)
    )
    return Example(pair, marks, tuple(words))


def examples(given: Task, part: Part, seed: int, lexicon: Sequence[str] = ()) -> Iterator[Example]:
    """Different examples without end, or until the task has no more of them."""
    draw = Draw(part, random.Random(f"{given.name} {part} {seed}"), lexicon)
    seen, idle = set[str](), 0
    while idle < TRIES * (1 + len(seen) // 8):
        example = given.draw(draw)
        idle += 1
        if example.pair.clean not in seen:
            seen.add(example.pair.clean)
            idle = 0
            yield example


def first_examples(
    given: Task, part: Part, n: int, seed: int = 0, lexicon: Sequence[str] = ()
) -> list[Example]:
    """The first n examples of a part; fewer where the task has fewer."""
    return list(islice(examples(given, part, seed, lexicon), n))
