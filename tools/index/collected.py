"""The collected activations of a run's targets, one safetensors file per split.

    activations   float16  (target, context, position), raw; 0 after a context's end
    tokens        int32    (context, position)
    length, document, group, context   int32  (context); `context` is the number within the index's
                  split, `group` that of the first of the document's near-duplicates

The header's metadata names the targets in order. Opening reads the header; a target's activations
are read on demand.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors import SafetensorError, safe_open

from ..errors import ArgumentError, CorruptError, UsageError
from ..subject.address import Unit
from .float16_range import require_finite


class Collected:
    """One split's file, open for reading."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise CorruptError(
                f"no collected activations at {path}; resume the run, which collects them again"
            )
        self.path = path
        try:
            self._file: Any = safe_open(path, framework="numpy")
            self.metadata: dict[str, Any] = json.loads(self._file.metadata()["collected"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CorruptError(
                f"{path} is damaged ({error}); delete it and resume the run"
            ) from error
        self.targets: tuple[str, ...] = tuple(self.metadata["targets"])
        self._rows = {target: row for row, target in enumerate(self.targets)}

    @classmethod
    def open(cls, path: Path | str, split: Literal["explore", "select"]) -> Collected:
        """The file of a split in a run's folder; for holdout see the module `holdout`."""
        if split not in ("explore", "select"):
            raise ArgumentError(
                f"split {split!r} given; explore and select can be read, "
                "holdout only by verification"
            )
        return cls(Path(path) / f"{split}.safetensors")

    def __repr__(self) -> str:
        return f"Collected({str(self.path)!r}, {len(self.targets)} targets)"

    def activations(
        self, unit: Unit | str, *, finite: bool = True
    ) -> Float[np.ndarray, "context seq"]:
        """A target's raw activations, float32; the side of the address is ignored.

        Args:
            finite: refuse activations that float16 cannot hold, which are stored as infinite.

        Raises:
            UsageError: the unit was not collected, or float16 cannot hold its activations.
        """
        name = str((Unit.parse(unit) if isinstance(unit, str) else unit).unsided)
        if name not in self._rows:
            raise UsageError(f"{name!r} was not collected; the run has {len(self.targets)} targets")
        activations = self._file.get_slice("activations")[self._rows[name]].astype(np.float32)
        if finite:
            require_finite(name, activations)
        return activations

    def signal(self, unit: Unit) -> Float[np.ndarray, "context seq"]:
        """What is explained of a target: its raw activations, or the part on the unit's side."""
        return unit.signal(self.activations(unit))

    @cached_property
    def tokens(self) -> Int[np.ndarray, "context seq"]:
        """Token ids, 0 after a context's end."""
        return self._file.get_tensor("tokens")

    @cached_property
    def length(self) -> Int[np.ndarray, " context"]:
        """Number of real tokens of each context."""
        return self._file.get_tensor("length")

    @cached_property
    def document(self) -> Int[np.ndarray, " context"]:
        """The document's number of each context."""
        return self._file.get_tensor("document")

    @cached_property
    def group(self) -> Int[np.ndarray, " context"]:
        """The group of near-duplicates of each context's document: what is independent of others.

        Files of older runs do not record it; then each document is a group.
        """
        names = self._file.keys()
        return self._file.get_tensor("group") if "group" in names else self.document

    @cached_property
    def context(self) -> Int[np.ndarray, " context"]:
        """The context's number within the split of the index."""
        return self._file.get_tensor("context")

    @cached_property
    def mask(self) -> Bool[np.ndarray, "context seq"]:
        """The tokens that count: real ones, but not position 0."""
        position = np.arange(self.tokens.shape[1])
        return (position < self.length[:, None]) & (position > 0)
