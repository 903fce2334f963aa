"""Programs that say yes or no, or look something up from what heads have found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .program import Program
from .registry import any_letters, earlier, letters_of, register, same

OPEN, CLOSE = 1, 2


@register
def duplicate() -> Program:
    """Whether the last token has occurred before."""
    p = Program(
        "duplicate", 7, 7, any_letters(7, 7), lambda prompt: int(prompt[-1] in prompt[1:-1])
    )
    alone = p.attend(
        "duplicate", p.start, (p.token, p.token, same), (p.position, p.position, earlier), rest=1.5
    )
    return p.says(p.bins("any", alone, [-1.0], [-0.5]))


@register
def greater_than() -> Program:
    """Whether the last digit is greater than the first."""
    p = Program("greater-than", 7, 6, any_letters(7, 6), lambda prompt: int(prompt[-1] > prompt[1]))
    first = p.attend("first", p.token, (p.one, p.position, lambda _, key: float(key == 1)))
    return p.says(p.lookup("greater", 2, [first, p.token], lambda start, end: int(end > start)))


@register
def skip_trigram() -> Program:
    """What comes after the last token, which depends on whether letter 1 has occurred."""

    def following(seen: int, token: int) -> int:
        return (token + 3) % 6 if seen else token % 6

    p = Program(
        "skip-trigram", 6, 7, any_letters(6, 7), lambda t: following(int(1 in t), int(t[-1]))
    )
    trigger = p.attend("trigger", p.start, (p.one, p.token, lambda _, key: float(key == 1)))
    seen = p.bins("seen", trigger, [-1.0], [-0.5])
    return p.says(p.lookup("following", 6, [seen, p.token], following))


@register
def palindrome() -> Program:
    """Whether the letters read the same backwards: any mismatch in the second half is found by a last head."""
    letters, length = 3, 7

    def draw(rng: np.random.Generator) -> list[int]:
        half = rng.integers(1, letters + 1, 3).tolist()
        whole = [*half, *half[::-1]]
        if rng.integers(2):
            whole[rng.integers(6)] = int(rng.integers(1, letters + 1))
        return whole

    p = Program(
        "palindrome", letters, length, draw, lambda t: int(letters_of(t) == letters_of(t)[::-1])
    )
    mirrored = p.attend(
        "mirrored", p.token, (p.position, p.position, lambda q, k: float(k == length - q and k < q))
    )
    differs = p.lookup(
        "differs", 2, [p.token, mirrored], lambda here, there: int(there > 0 and here != there)
    )
    worst = p.attend("worst", p.start, (p.one, differs, lambda _, key: float(key == 1)))
    return p.says(p.bins("any", worst, [1.0], [0.5]))


@register
def dyck_1() -> Program:
    """Whether brackets are balanced: none closes too early, and all are closed at the end."""

    def answer(prompt: Sequence[int]) -> int:
        return int(_balanced(letters_of(prompt)))

    p = Program("dyck-1", 2, 7, _brackets(3), answer)
    share = p.attend("share", p.token, (p.one, p.start, lambda _, key: 0.0), rest=None)
    early = p.bins("too early", share, [0.0, -1.0, 1.0], [0.5 / 7])
    open_ = p.bins("not closed", share, [0.0, 1.0, -1.0], [0.5 / 7])
    fault = p.attend("fault", p.start, (p.one, early, lambda _, key: float(key == 1)))
    sound = p.bins("sound", fault, [1.0], [0.5])
    return p.says(
        p.lookup("balanced", 2, [sound, open_], lambda sound, left: int(sound and not left))
    )


@register
def shuffle_dyck() -> Program:
    """Whether two kinds of brackets, each counted for itself, are as many open as closed at the end."""

    def answer(prompt: Sequence[int]) -> int:
        count = list(prompt).count
        return int(count(1) == count(2) and count(3) == count(4))

    def draw(rng: np.random.Generator) -> list[int]:
        pairs = [(1, 2), (3, 4)]
        letters = [token for kind in rng.integers(0, 2, 3) for token in pairs[kind]]
        letters = rng.permutation(letters).tolist()
        if rng.integers(2):
            letters[rng.integers(6)] = int(rng.integers(1, 5))
        return letters

    p = Program("shuffle-dyck", 4, 7, draw, answer)
    share = p.attend("share", p.token, (p.one, p.start, lambda _, key: 0.0), rest=None)
    rows = np.array(
        [[0, 1, -1, 0, 0], [0, -1, 1, 0, 0], [0, 0, 0, 1, -1], [0, 0, 0, -1, 1]], dtype=float
    )
    half = np.full(4, 0.5 / 7)
    unequal = p.steps("unequal", [share], rows, half, half, np.eye(4))
    any_ = p.bins("any", unequal, [1.0] * 4, [0.5])
    return p.says(p.lookup("equal", 2, [any_], lambda wrong: 1 - wrong))


@register
def backup() -> Program:
    """Whether letter 1 occurs, found by two heads, each of which is enough: what one patch alone does not show."""
    p = Program("backup", 5, 7, any_letters(5, 7), lambda prompt: int(1 in prompt))
    heads = [
        p.attend(name, p.start, (p.one, p.token, lambda _, key: float(key == 1)))
        for name in ("first", "second")
    ]
    return p.says(p.steps("either", heads, *_either()))


def _either() -> tuple[np.ndarray, ...]:
    """No unless a head has left the start token: 2 - the weights that stay there."""
    weights, threshold, width = np.array([[-1.0, -1.0]]), np.array([-1.5]), np.array([0.5])
    return weights, threshold, width, np.array([[-1.0], [1.0]]), np.array([1.0, 0.0])


@register
def vote() -> Program:
    """Whether letter 1 occurs, by the majority of three heads: no patch of one of them changes anything, ever."""
    p = Program("vote", 4, 7, any_letters(4, 7), lambda prompt: int(1 in prompt))
    heads = [
        p.attend(f"voter {n}", p.start, (p.one, p.token, lambda _, key: float(key == 1)))
        for n in range(3)
    ]
    outvoted = np.array([[-1.0, -1.0, -1.0]]), np.array([-1.5]), np.array([0.5])
    return p.says(
        p.steps("majority", heads, *outvoted, np.array([[-1.0], [1.0]]), np.array([1.0, 0.0]))
    )


def _balanced(brackets: Sequence[int]) -> bool:
    depths = np.cumsum([1 if bracket == OPEN else -1 for bracket in brackets])
    return bool(depths.min() >= 0 and depths[-1] == 0)


def _brackets(n: int) -> Callable[[np.random.Generator], list[int]]:
    """n pairs of brackets, balanced in one half of the draws; the rest has one bracket or one pair changed."""

    def draw(rng: np.random.Generator) -> list[int]:
        while True:
            brackets = rng.permutation([OPEN, CLOSE] * n).tolist()
            if _balanced(brackets) or rng.integers(4) == 0:
                break
        if rng.integers(3) == 0:
            brackets[rng.integers(2 * n)] = int(rng.integers(1, 3))
        return brackets

    return draw
