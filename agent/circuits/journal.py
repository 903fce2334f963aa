"""Measurements, journaled by request: nothing is measured twice, and a replay measures nothing.

Numbers are rows of the run log (`measurement`). A large array is a file in `arrays/`, and the log
keeps its hash (`array`). Killed at any point, a run loses at most the measurement in progress.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...tools.errors import CorruptError
from ...tools.files import atomic_file
from ..runlog.journal import Journal, request_hash
from ..runlog.layout import CIRCUIT_ARRAYS
from ..runlog.log import RunLog, canonical

Request = Mapping[str, Any]
KEY_LENGTH = 20
"""Digits of a request's hash, in the log and in the names of array files."""


class MeasurementJournal:
    """Measurements of one run; `recorded`: a replay, in which nothing may be measured."""

    def __init__(self, folder: Path, log: RunLog, *, recorded: bool = False) -> None:
        self.folder, self.log, self.recorded = folder, log, recorded
        self._journal = Journal(log)

    def holds(self, request: Request) -> bool:
        """Whether nothing need be measured for the answer to a request."""
        key = request_hash(request, KEY_LENGTH)
        if self.log.get("measurement", id=key) is not None:
            return True
        return self.log.get("array", id=key) is not None and self._array_path(key).exists()

    def measured(self, request: Request, measure: Callable[[], Any]) -> Any:
        """The answer to a request, as JSON; `measure` is called only if the log does not hold it."""

        def make() -> dict[str, Any]:
            self._check_may_measure(request)
            return {"request": dict(request), "value": measure()}

        return self._journal.row("measurement", request_hash(request, KEY_LENGTH), make)["value"]

    def array(self, request: Request, measure: Callable[[], np.ndarray]) -> np.ndarray:
        """The same for an array.

        Raises:
            CorruptError: the file is missing or does not have the logged hash.
        """
        key = request_hash(request, KEY_LENGTH)
        path = self._array_path(key)
        row = self.log.get("array", id=key)
        if row is None or not (path.exists() or self.recorded):
            self._check_may_measure(request)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as partial, partial.open("wb") as file:
                np.save(file, measure(), allow_pickle=False)
            row = {"request": dict(request), "sha256": _sha256(path)}
            self.log.write("array", row, id=key)
        if not path.exists() or _sha256(path) != row["sha256"]:
            raise CorruptError(
                f"{path} is not what the log says; remove it and resume the run to measure it again"
            )
        return np.load(path, allow_pickle=False)

    def _array_path(self, key: str) -> Path:
        return self.folder / CIRCUIT_ARRAYS / f"{key}.npy"

    def _check_may_measure(self, request: Request) -> None:
        if self.recorded:
            raise CorruptError(
                f"the log holds no measurement of {canonical(dict(request))}; it was changed or cut short"
            )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
