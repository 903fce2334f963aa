"""A split's running totals on disk, so that a killed pass goes on where it was, to the same end bit
for bit.

A checkpoint is a folder that appears whole or not at all; its name says how many batches it covers.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ..errors import CorruptError
from ..files import atomic_folder
from .pass_clock import PassClock
from .site_totals import SiteTotals
from .topk import TopK

SHARE = 200
"""A checkpoint is due when the work since the last took so many times as long as making it: half a percent."""
LEAST = 20.0
"""Seconds between two checkpoints at the least; also what a killed pass may lose on a small subject."""


@dataclass
class Checkpoints:
    """Those of one split, in its working folder."""

    folder: Path
    every: float | None = None
    """Batches between two; None: by the clock."""
    _cost: float = 0.0
    _last: float = field(default_factory=time.monotonic)
    _count: int = 0

    def due(self) -> bool:
        """Call once a batch: whether it is time."""
        self._count += 1
        if self.every is not None:
            return self._count % self.every == 0
        return time.monotonic() - self._last > max(LEAST, SHARE * self._cost)

    def save(self, states: Sequence[SiteTotals], clock: PassClock, batches: int) -> None:
        """Write the totals after so many batches, and drop the older ones."""
        start = time.monotonic()
        for state in states:
            state.pool.sync()
            state.sample.sync()
        with atomic_folder(self.folder / f"checkpoint-{batches}") as part:
            for state in states:
                save_file(_arrays(state), part / f"{_name(state)}.safetensors")
            (part / "clock.json").write_text(json.dumps(clock.to_json()))
        for number, path in self._found():
            if number != batches:
                shutil.rmtree(path)
        self._last = time.monotonic()
        self._cost = self._last - start

    def load(self, states: Sequence[SiteTotals], clock: PassClock) -> int:
        """Fill the totals from the newest checkpoint; returns how many batches it covers, 0 if there is none."""
        found = self._found()
        if not found:
            return 0
        batches, path = found[-1]
        try:
            for state in states:
                _restore(state, load_file(path / f"{_name(state)}.safetensors"))
            times = json.loads((path / "clock.json").read_text())
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise CorruptError(
                f"{path} is damaged ({error}); delete {self.folder} and build the index again"
            ) from error
        for name, value in times.items():
            setattr(clock, name, value)
        return batches

    def _found(self) -> list[tuple[int, Path]]:
        return sorted(
            (int(path.name.partition("-")[2]), path) for path in self.folder.glob("checkpoint-*")
        )


def _name(state: SiteTotals) -> str:
    return f"{state.site.kind}-{state.site.layer}"


def _arrays(state: SiteTotals) -> dict[str, np.ndarray]:
    arrays = {
        "n": np.array(state.n),
        "total": state.total,
        "squares": state.squares,
        "low": state.low,
        "high": state.high,
        "pool": state.pool.filled,
        "sample": state.sample.filled,
    }
    for side, top in enumerate(state.top):
        arrays |= {f"keys{side}": top.keys, f"rows{side}": top.rows}
    return arrays


def _restore(state: SiteTotals, arrays: dict[str, np.ndarray]) -> None:
    state.n = int(arrays["n"])
    state.total, state.squares = arrays["total"], arrays["squares"]
    state.low, state.high = arrays["low"], arrays["high"]
    state.pool.filled, state.sample.filled = arrays["pool"], arrays["sample"]
    state.top = [
        TopK(arrays[f"keys{side}"], arrays[f"rows{side}"]) for side in range(len(state.top))
    ]
