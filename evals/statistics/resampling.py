"""How a run makes its intervals. It records this, so that a replay makes the same ones.

- unit: what is drawn. Near-duplicates tell the same thing twice, so that a group of them is one
  unit; runs before this was recorded drew documents.
- interval: which quantiles of the resamples are the ends; see `bootstrap`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Self, cast, get_args

from ...tools.errors import CorruptError

ResampledUnit = Literal["group", "document"]
IntervalMethod = Literal["expanded", "percentile"]


@dataclass(frozen=True)
class Resampling:
    """What is drawn, and how the ends of an interval are read off the draws."""

    unit: ResampledUnit = "group"
    interval: IntervalMethod = "expanded"

    def to_settings(self) -> dict[str, str]:
        """As a run's configuration has it."""
        return asdict(self)

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> Self:
        """The inverse; a run that does not record it used percentiles over documents.

        Raises:
            CorruptError: a unit or a method that is not known.
        """
        unit = settings.get("unit", "document")
        interval = settings.get("interval", "percentile")
        if unit not in get_args(ResampledUnit) or interval not in get_args(IntervalMethod):
            raise CorruptError(
                f"intervals of {dict(settings)!r} given; known are unit "
                f"{' or '.join(get_args(ResampledUnit))} and interval "
                f"{' or '.join(get_args(IntervalMethod))}: the run was made by a newer hubel, or "
                "its config.toml was changed"
            )
        return cls(cast(ResampledUnit, unit), cast(IntervalMethod, interval))


CURRENT = Resampling()
"""What new runs do."""
