"""Programs that find a token and copy it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .program import Program
from .registry import any_letters, back, earlier, letters_of, register, same


@register
def previous() -> Program:
    """The token before the last."""
    p = Program("previous", 6, 7, any_letters(6, 7), lambda prompt: int(prompt[-2]))
    return p.says(p.attend("previous", p.token, (p.position, p.position, back(1))))


@register
def previous_by_vote() -> Program:
    """The token before the last, copied by three heads; neurons keep what two of them agree on."""
    p = Program("previous-by-vote", 5, 7, any_letters(5, 7), lambda prompt: int(prompt[-2]))
    copies = [
        p.attend(f"previous {n}", p.token, (p.position, p.position, back(1))) for n in range(3)
    ]
    size = p.token.size
    agreed = np.tile(np.eye(size), 3), np.full(size, 1.5), np.full(size, 0.5)
    return p.says(p.steps("agreed", copies, *agreed, np.eye(size)))


@register
def successor() -> Program:
    """The letter after the last token's, round the alphabet."""
    p = Program("successor", 7, 6, any_letters(7, 6), lambda prompt: int(prompt[-1]) % 7 + 1)
    return p.says(p.lookup("successor", 8, [p.token], lambda token: token % 7 + 1 if token else 0))


@register
def minimum() -> Program:
    """The first letter of the alphabet that occurs."""
    p = Program("minimum", 6, 7, any_letters(6, 7), lambda prompt: min(letters_of(prompt)))
    return p.says(
        p.attend("minimum", p.token, (p.one, p.token, lambda _, key: 7 - key if key else 0))
    )


@register
def induction() -> Program:
    """What followed the last token when it occurred before: a previous-token head and an induction head."""

    def draw(rng: np.random.Generator) -> list[int]:
        letters = (rng.permutation(9) + 1).tolist()[:7]
        return [*letters, letters[rng.integers(6)]]

    def accepts(prompt: Sequence[int]) -> bool:
        letters = letters_of(prompt)
        return len(set(letters[:-1])) == len(letters) - 1 and letters[-1] in letters[:-2]

    def answer(prompt: Sequence[int]) -> int:
        letters = letters_of(prompt)
        return letters[letters.index(letters[-1]) + 1]

    p = Program("induction", 9, 9, draw, answer, accepts)
    before = p.attend("before", p.token, (p.position, p.position, back(1)))
    return p.says(p.attend("induction", p.token, (p.token, before, same)))


@register
def reverse() -> Program:
    """Letters up to a separator at any place, then backwards: the mirror image of the last position."""
    bar, length = 6, 9

    def draw(rng: np.random.Generator) -> list[int]:
        place = int(rng.integers(4, 7))
        letters = rng.integers(1, bar, length - 1)
        letters[place - 1] = bar
        return letters.tolist()

    def accepts(prompt: Sequence[int]) -> bool:
        return list(prompt).count(bar) == 1 and prompt.index(bar) in (4, 5, 6)

    def answer(prompt: Sequence[int]) -> int:
        return int(prompt[2 * list(prompt).index(bar) - (length - 1)])

    p = Program("reverse", bar, length, draw, answer, accepts)
    place = p.attend("bar", p.position, (p.one, p.token, lambda _, key: float(key == bar)))
    mirror = p.lookup(
        "mirror",
        length,
        [place, p.position],
        lambda bar, here: max(0, min(2 * bar - here, length - 1)),
    )
    return p.says(p.attend("mirrored", p.token, (mirror, p.position, same)))


@register
def other_name() -> Program:
    """Indirect object identification: of two names, one comes again, and the other is the answer.

    A duplicate-token head finds the second mention, an inhibition head fetches its name, a name
    mover copies the other.
    """
    names, words, length = 5, 3, 8

    def draw(rng: np.random.Generator) -> list[int]:
        first, second = (rng.permutation(names)[:2] + 1).tolist()
        letters = rng.integers(names + 1, names + words + 1, length - 1)
        letters[0], letters[2], letters[rng.integers(3, 6)] = (
            first,
            second,
            (first, second)[rng.integers(2)],
        )
        return letters.tolist()

    def accepts(prompt: Sequence[int]) -> bool:
        places = [at for at, token in enumerate(prompt) if 0 < token <= names]
        pair = (prompt[1], prompt[3])
        return (
            len(places) == 3
            and places[:2] == [1, 3]
            and pair[0] != pair[1]
            and prompt[places[2]] in pair
        )

    def answer(prompt: Sequence[int]) -> int:
        again = next(token for token in prompt[4:] if 0 < token <= names)
        return int(prompt[1] + prompt[3] - again)

    def twice(query: int, key: int) -> float:
        return float(query == key and 0 < query <= names)

    p = Program("other-name", names + words, length, draw, answer, accepts)
    alone = p.attend(
        "duplicate", p.start, (p.token, p.token, twice), (p.position, p.position, earlier), rest=1.5
    )
    subject = p.attend("inhibition", p.token, (p.one, alone, lambda _, __: -1.0))
    other = p.attend(
        "name mover", p.token, (subject, p.token, lambda q, k: float(0 < k <= names and k != q))
    )
    return p.says(other)
