"""What a part of the bench yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SpeedRow:
    """One thing that was done, and how long it took.

    Attributes:
        cpu_seconds: user and system time of all its processes.
        figures: what else was measured, by name, with the unit in the name.
        phases: CPU seconds by phase, of a run.
    """

    name: str
    wall_seconds: float
    cpu_seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)
    phases: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """One line, for the progress."""
        return f"{self.name}: {self.wall_seconds:.1f} s wall, {self.cpu_seconds:.1f} s CPU"

    def to_json(self) -> dict[str, Any]:
        """For a JSON line."""
        return {
            "name": self.name,
            "wall_seconds": round(self.wall_seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            **self.figures,
            **({"cpu_seconds_by_phase": dict(self.phases)} if self.phases else {}),
        }
