"""How a run makes its intervals. It records this, so that a replay makes the same ones.

- unit: what is drawn. Near-duplicates tell the same thing twice, so that a group of them is one
  unit; runs before this was recorded drew documents.
- interval: which quantiles of the resamples are the ends; see `bootstrap`.
- null: what the permutation test permutes as a whole. Runs before this was recorded permuted
  contexts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, cast, get_args

from ...tools.errors import CorruptError

ResampledUnit = Literal["group", "document"]
IntervalMethod = Literal["expanded", "percentile"]
PermutedBlock = Literal["document", "context"]


@dataclass(frozen=True)
class Resampling:
    """What is drawn, and how the ends of an interval are read off the draws."""

    unit: ResampledUnit = "group"
    interval: IntervalMethod = "expanded"
    null: PermutedBlock = "document"

    def to_settings(self) -> dict[str, str]:
        """As a run's configuration has it."""
        return asdict(self)

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> Self:
        """The inverse; a run that does not record it used percentiles over documents.

        Raises:
            CorruptError: a unit or a method that is not known.
        """
        chosen = {name: settings.get(name, old) for name, old in _UNRECORDED.items()}
        unknown = [name for name in chosen if chosen[name] not in get_args(_KNOWN[name])]
        if unknown:
            known = ", ".join(f"{name} {' or '.join(get_args(_KNOWN[name]))}" for name in _KNOWN)
            raise CorruptError(
                f"intervals of {dict(settings)!r} given; known are {known}: the run was made by a "
                "newer hubel, or its config.toml was changed"
            )
        return cls(**cast("dict[str, Any]", chosen))


_KNOWN: Mapping[str, Any] = {
    "unit": ResampledUnit,
    "interval": IntervalMethod,
    "null": PermutedBlock,
}
_UNRECORDED = {"unit": "document", "interval": "percentile", "null": "context"}
"""What runs did that do not say so."""
CURRENT = Resampling()
"""What new runs do."""
