"""Which part of an index a process computes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from ...errors import UsageError


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, from 1 on; reads every `count`-th batch of all splits together."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                f"shard {self} given; expected its number, from 1 on, and how many there are, such as 3/16"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The shard of ``3/16``; raises UsageError for anything else."""
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text.strip())
        if not match:
            raise UsageError(
                f"shard {text!r} given; expected its number and how many there are, such as 3/16"
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


WHOLE = Shard()
"""The only shard of one."""


def listed(numbers: Iterable[int], noun: str = "shard") -> str:
    """``shard 3`` or ``shards 3, 5 and 7``."""
    *most, last = [str(number) for number in sorted(numbers)]
    return f"{noun}s {', '.join(most)} and {last}" if most else f"{noun} {last}"
