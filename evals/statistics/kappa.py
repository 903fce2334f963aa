"""How far two ways of judging agree beyond what chance would bring.

Cohen's kappa (Cohen 1960): with p_o the share of cases on which both say the same, and p_e the
share that two judges who are independent and say yes as often as these two would have in common,
kappa = (p_o - p_e) / (1 - p_e). 1 is full agreement, 0 is what chance brings, below 0 is less than
that.
"""

from __future__ import annotations

from collections.abc import Sequence


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa of two yes-or-no judgements of the same cases.

    None without a case, and where both always say the same one word: then chance explains all, and
    0/0 says nothing.
    """
    if not pairs:
        return None
    n = len(pairs)
    first, second = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    observed = sum(a == b for a, b in pairs) / n
    expected = first * second + (1 - first) * (1 - second)
    return None if expected == 1 else (observed - expected) / (1 - expected)
