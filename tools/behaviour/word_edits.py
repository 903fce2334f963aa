"""The smallest edits of a prompt that change which option a subject prefers.

1. An edit replaces one word by a candidate, or deletes it. All edits of one word are tried: their
   effect is measured by passes of the subject, never estimated.
2. Where none changes the preference, the edits that brought it nearest are kept, as many as the
   beam is wide, and each is extended by one more word, up to the largest number of edits. A search
   that gives up says so: with two words and more it may miss what a complete one would find.
3. Found edits are ranked by size: fewer words first, then fewer characters changed (Levenshtein),
   then the larger effect.

After counterfactual editing as in Ross et al. 2021 (MiCE) and Wu et al. 2021 (Polyjuice), with a
complete search at one word in place of an editor model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError
from .choices import ChoicePrompt, margins, option_log_probs

if TYPE_CHECKING:
    from ..subject import Subject

BEAM = 4
"""Edit lists that are extended by one more word where none has changed the preference."""
WORD = re.compile(r"\w+(?:['’-]\w+)*")


class WordEdit(NamedTuple):
    """Replaces the word at a place of the prompt; an empty new word deletes it."""

    place: int
    old: str
    new: str


@dataclass(frozen=True)
class EditedPrompt:
    """A prompt after some edits, and the margin of its right option; below 0 once it has changed."""

    edits: tuple[WordEdit, ...]
    text: str
    margin: float

    @property
    def size(self) -> tuple[int, int]:
        """Words changed, and characters changed."""
        return len(self.edits), sum(levenshtein(edit.old, edit.new) for edit in self.edits)


@dataclass(frozen=True)
class Counterfactuals:
    """What was found for one prompt.

    Attributes:
        margin: of the prompt as it is; `changed`: edits that change the preference, smallest first.
        tried: edited prompts that the subject read; `tried_single`: those with one edit.
        flips_by_place: for each word, the share of its single edits that change the preference.
    """

    prompt: ChoicePrompt
    margin: float
    changed: tuple[EditedPrompt, ...]
    tried: int
    tried_single: int
    flips_by_place: tuple[float, ...]

    @property
    def smallest(self) -> EditedPrompt | None:
        """The smallest edit, or None where none was found."""
        return self.changed[0] if self.changed else None


def find_counterfactuals(
    subject: Subject,
    prompt: ChoicePrompt,
    candidates: Sequence[str],
    *,
    most_edits: int = 2,
) -> Counterfactuals:
    """Search the smallest edits after which the subject prefers another option.

    Args:
        candidates: words that may replace a word.
        most_edits: words changed at most; 1 is a complete search.

    Raises:
        UsageError: nothing to edit, or the subject does not prefer the right option to begin with.
    """
    spans = word_spans(prompt.text)
    if not spans:
        raise UsageError(f"{prompt.text[:40]!r} has no word; nothing can be edited")
    (margin,) = measure_margins(subject, prompt, [prompt.text])
    if margin <= 0:
        raise UsageError(
            f"the subject does not prefer {prompt.options[prompt.answer]!r} after "
            f"{prompt.text[:40]!r} (margin {margin:.3g}): there is nothing to change; leave it out"
        )
    frontier: list[tuple[WordEdit, ...]] = [()]
    single, changed = list[EditedPrompt](), list[EditedPrompt]()
    tried = 0
    for n_edits in range(1, most_edits + 1):
        extended = _extend(prompt.text, frontier, candidates)
        results = _read(subject, prompt, extended)
        tried += len(results)
        single = single or results
        changed = [result for result in results if result.margin < 0]
        if changed or n_edits == most_edits:
            break
        nearest = sorted(results, key=lambda result: result.margin)[:BEAM]
        frontier = [result.edits for result in nearest]
    changed.sort(key=lambda result: (*result.size, result.margin))
    shares = _flips_by_place(single, len(spans))
    return Counterfactuals(prompt, float(margin), tuple(changed), tried, len(single), shares)


def measure_margins(subject: Subject, prompt: ChoicePrompt, texts: Sequence[str]) -> list[float]:
    """The margin of the prompt's right option after each of some other texts."""
    asked = [ChoicePrompt(text, prompt.options, prompt.answer) for text in texts]
    values = option_log_probs(subject, asked)
    return margins(values, [prompt.answer] * len(texts)).tolist()


def word_spans(text: str) -> list[tuple[int, int]]:
    """Where the words of a text are, as character spans."""
    return [match.span() for match in WORD.finditer(text)]


def apply_edits(text: str, edits: Iterable[WordEdit]) -> str:
    """The text with some of its words replaced; a deleted word takes one adjacent space with it."""
    spans = word_spans(text)
    for edit in sorted(edits, reverse=True):
        start, end = spans[edit.place]
        new = edit.new.capitalize() if edit.place == 0 and text[start].isupper() else edit.new
        if not new:
            if text[end : end + 1] == " ":
                end += 1
            elif text[start - 1 : start] == " ":
                start -= 1
        text = text[:start] + new + text[end:]
    return text


def levenshtein(old: str, new: str) -> int:
    """Fewest insertions, deletions and substitutions of characters that make one word the other."""
    row = list(range(len(new) + 1))
    for i, a in enumerate(old, start=1):
        above = row
        row = [i]
        for j, b in enumerate(new, start=1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


def _extend(
    text: str,
    frontier: Sequence[tuple[WordEdit, ...]],
    candidates: Sequence[str],
) -> list[tuple[WordEdit, ...]]:
    """Every edit list of the frontier with one more edit, at a word that it leaves as it is."""
    words = [text[start:end] for start, end in word_spans(text)]
    replacements = ["", *dict.fromkeys(candidates)]
    extended = dict[tuple[WordEdit, ...], None]()
    for edits in frontier:
        taken = {edit.place for edit in edits}
        is_last = len(taken) + 1 == len(words)  # deleting it as well could leave nothing to read
        usable = [word for word in replacements if word or not is_last]
        for place in sorted(set(range(len(words))) - taken):
            for new in usable:
                if new.lower() != words[place].lower():
                    more = (*edits, WordEdit(place, words[place], new))
                    extended[tuple(sorted(more))] = None
    return list(extended)


def _read(
    subject: Subject, prompt: ChoicePrompt, edits: Sequence[tuple[WordEdit, ...]]
) -> list[EditedPrompt]:
    texts = [apply_edits(prompt.text, each) for each in edits]
    values = measure_margins(subject, prompt, texts) if texts else []
    return [EditedPrompt(*row) for row in zip(edits, texts, values, strict=True)]


def _flips_by_place(single: Sequence[EditedPrompt], n_words: int) -> tuple[float, ...]:
    flips = [list[bool]() for _ in range(n_words)]
    for result in single:
        flips[result.edits[0].place].append(result.margin < 0)
    return tuple(sum(each) / len(each) if each else 0.0 for each in flips)
