"""A score: the value of one explanation on one text, with its interval and its floors.

The JSON is an interface (``scores`` of ``hubel show RUN --json`` and of ``hubel eval``): every key
is always there, a floor that a scorer does not have is null, and a value is never null. A scorer
that failed leaves no score but a failure that can be retried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from ..tools.errors import CorruptError, UsageError

DEFINITIONS = 2
"""Version of the definitions of scores, floors and verdicts in docs/contract.md.

1. The five floors from *chance* to *trivial*; a document is active with any signal but 0.
2. The floors *list* and *rotated*, the scores of a formula's parts, tiers; active by the unit's range.
"""
Split = Literal["explore", "select", "holdout"]
Text = Literal["random", "top_and_random"]


@dataclass(frozen=True)
class Floors:
    """What the same scorer gives to predictions that explain nothing, or only the token."""

    chance: float | None = None
    """A constant prediction, or a judge that always answers the same."""
    shuffled: float | None = None
    """This explanation's own predictions with whole contexts permuted: mean over draws."""
    other: float | None = None
    """The explanation of a random unit of the same layer."""
    token_lookup: float | None = None
    """Mean activation by token on explore: the ceiling for explanations without context."""
    trivial: float | None = None
    """The best of a constant, token frequency and position."""
    list: float | None = None
    """The 24 best tokens of explore with fitted weights, and no concept."""
    rotated: float | None = None
    """Mean of the same explainer's scores on rotated directions of the layer, or random latents of the
    dictionary, which mean nothing."""

    def to_json(self) -> dict[str, float | None]:
        """All keys, null when unknown."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; keys of a newer version are ignored."""
        return cls(**{f.name: _number(row.get(f.name), f"floors.{f.name}") for f in fields(cls)})


@dataclass(frozen=True)
class Score:
    """One number with its 95 % interval over documents.

    ``low`` and ``high`` are null if there is nothing to resample: fewer than two documents.
    """

    scorer: str
    split: str
    text: str
    value: float
    low: float | None = None
    high: float | None = None
    floors: Floors = field(default_factory=Floors)

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise UsageError(
                    f"{self.scorer} on {self.split}: {name} is {number!r}; expected a finite number"
                )

    def to_json(self) -> dict[str, Any]:
        """The contract's row: scorer, split, text, value, low, high, floors."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {
            "floors": self.floors.to_json()
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; CorruptError if a key is missing or not a number."""
        value = _number(row.get("value"), "value")
        missing = [key for key in ("scorer", "split", "text", "value") if row.get(key) is None]
        if missing or value is None:
            raise CorruptError(
                f"a score without {', '.join(missing)}: {dict(row)!r}; "
                "score again with `hubel eval`"
            )
        return cls(
            scorer=str(row["scorer"]),
            split=str(row["split"]),
            text=str(row["text"]),
            value=value,
            low=_number(row.get("low"), "low"),
            high=_number(row.get("high"), "high"),
            floors=Floors.from_json(row.get("floors") or {}),
        )


def _number(value: object, key: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CorruptError(
            f"a score's {key} is {value!r}; expected a number; score again with `hubel eval`"
        )
    return float(value)
