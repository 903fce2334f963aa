"""How far two judgements agree beyond chance.

Cohen's kappa (Cohen 1960): kappa = (p_o - p_e) / (1 - p_e). p_o is the share of cases on which both
agree, p_e the share on which two independent judges would agree who say yes as often as these two.
1 is full agreement, 0 is chance.
"""

from __future__ import annotations

from collections.abc import Sequence


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Cohen's kappa of two yes-or-no judgements of the same cases.

    None without a case, and if both always give the same one answer: then p_e is 1, and kappa 0/0.
    """
    if not pairs:
        return None
    n = len(pairs)
    first, second = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    observed = sum(a == b for a, b in pairs) / n
    expected = first * second + (1 - first) * (1 - second)
    return None if expected == 1 else (observed - expected) / (1 - expected)
