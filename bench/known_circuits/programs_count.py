"""Programs that count: a head spreads over what it counts and the start token, and its weight there
gives the number.

With n matches the start token has the weight 1 / (n + 1), and a token's share of all tokens is read
off directly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .program import NamedSubspace, Program
from .registry import accepted, any_letters, letters_of, register, same


def _number(p: Program, name: str, marked: NamedSubspace, most: int) -> NamedSubspace:
    """Numbers 0 to `most` from a head's weight on the start token, in falling order (index 0 is `most`)."""
    bounds = [(1 / (n + 1) + 1 / (n + 2)) / 2 for n in reversed(range(most))]
    return p.bins(name, marked, [1.0], bounds)


@register
def histogram() -> Program:
    """How often the last token occurs, up to 4."""

    def accepts(prompt: Sequence[int]) -> bool:
        return 1 <= list(prompt).count(prompt[-1]) <= 4

    p = Program(
        "histogram",
        3,
        7,
        accepted(any_letters(3, 7), accepts),
        lambda t: 4 - list(t).count(t[-1]),
        accepts,
    )
    marked = p.attend("equal", p.start, (p.token, p.token, same), rest=1.0)
    return p.says(_number(p, "count", marked, 4))


@register
def parity() -> Program:
    """Whether letter 1 occurs an odd number of times."""

    def accepts(prompt: Sequence[int]) -> bool:
        return list(prompt).count(1) <= 4

    p = Program(
        "parity",
        3,
        7,
        accepted(any_letters(3, 7), accepts),
        lambda t: list(t).count(1) % 2,
        accepts,
    )
    marked = p.attend("ones", p.start, (p.one, p.token, lambda _, key: float(key == 1)), rest=1.0)
    count = _number(p, "count", marked, 4)
    return p.says(p.lookup("parity", 2, [count], lambda falling: falling % 2))


@register
def fraction_previous() -> Program:
    """How many quarters of the tokens are letter 1: none, up to one, up to two, up to three, up to four."""
    length = 9

    def answer(prompt: Sequence[int]) -> int:
        return -(-list(prompt).count(1) // 2)

    p = Program("fraction-previous", 2, length, any_letters(2, length), answer)
    share = p.attend("share", p.token, (p.one, p.start, lambda _, key: 0.0), rest=None)
    bounds = [(0.5 + 2 * quarter) / length for quarter in range(4)]
    return p.says(p.bins("quarters", share, [0.0, 1.0, 0.0], bounds))


@register
def most_frequent() -> Program:
    """The letter that occurs most often: comparisons of pairs, then the letter that wins both of its comparisons."""
    letters, length = 3, 7

    def accepts(prompt: Sequence[int]) -> bool:
        counts = Counter(letters_of(prompt)).most_common(2)
        return len(counts) == 1 or counts[0][1] > counts[1][1]

    p = Program(
        "most-frequent",
        letters,
        length,
        accepted(any_letters(letters, length), accepts),
        lambda prompt: Counter(letters_of(prompt)).most_common(1)[0][0] - 1,
        accepts,
    )
    share = p.attend("share", p.token, (p.one, p.start, lambda _, key: 0.0), rest=None)
    rows = np.array([[0, 1, -1, 0], [0, 1, 0, -1], [0, 0, 1, -1]], dtype=float)
    half = np.full(3, 0.5 / length)
    won = p.steps("compared", [share], rows, half, half, np.eye(3))
    lost = p.steps("compared back", [share], -rows, half, half, np.eye(3))
    winners = np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0], [0, 0, 0, 0, 1, 1]], dtype=float)
    return p.says(
        p.steps("winner", [won, lost], winners, np.full(3, 1.5), np.full(3, 0.5), np.eye(3))
    )


@register
def modular_sum() -> Program:
    """The sum of two digits, modulo 5; the digits are at fixed places among others."""
    digits, length = 5, 6

    def answer(prompt: Sequence[int]) -> int:
        return (int(prompt[1]) + int(prompt[3]) - 2) % digits

    p = Program("modular-sum", digits, length, any_letters(digits, length), answer)
    first, second = (
        p.attend(name, p.token, (p.one, p.position, lambda _, key, at=at: float(key == at)))
        for name, at in (("first", 1), ("second", 3))
    )
    return p.says(p.lookup("sum", digits, [first, second], lambda a, b: (a + b - 2) % digits))
