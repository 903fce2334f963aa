"""What was measured, by what was asked: no measurement is made twice, and a replay makes none.

Numbers are events of the run log (`measurement`); an array of many is a file in `arrays/`, and its
hash is the event. Killed at any point, a run loses at most the measurement that it was making.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...tools.errors import CorruptError
from ...tools.files import atomic_file
from ..runlog.layout import CIRCUIT_ARRAYS
from ..runlog.log import RunLog, canonical

Request = Mapping[str, Any]


class Journal:
    """Measurements of one run; `recorded`: a replay, in which nothing may be measured."""

    def __init__(self, folder: Path, log: RunLog, *, recorded: bool = False) -> None:
        self.folder, self.log, self.recorded = folder, log, recorded

    def measured(self, request: Request, measure: Callable[[], Any]) -> Any:
        """The answer to a request, as JSON; `measure` is called only when nobody asked it before."""
        found = self.log.get("measurement", id=_key(request))
        if found is None:
            self._refuse(request)
            found = {"request": dict(request), "value": measure()}
            self.log.write("measurement", found, id=_key(request))
            found = self.log.get("measurement", id=_key(request)) or found
        return found["value"]

    def array(self, request: Request, measure: Callable[[], np.ndarray]) -> np.ndarray:
        """The same for an array.

        Raises:
            CorruptError: the file is not what its hash says.
        """
        path = self.folder / CIRCUIT_ARRAYS / f"{_key(request)}.npy"
        found = self.log.get("array", id=_key(request))
        if found is None or not (path.exists() or self.recorded):
            self._refuse(request)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(path) as partial, partial.open("wb") as file:
                np.save(file, measure(), allow_pickle=False)
            found = {"request": dict(request), "sha256": _sha256(path)}
            self.log.write("array", found, id=_key(request))
        if not path.exists() or _sha256(path) != found["sha256"]:
            raise CorruptError(
                f"{path} is not what the log says; remove it and go on with the run to make it anew"
            )
        return np.load(path, allow_pickle=False)

    def _refuse(self, request: Request) -> None:
        if self.recorded:
            raise CorruptError(
                f"the log holds no measurement of {canonical(dict(request))}; it was changed or cut short"
            )


def _key(request: Request) -> str:
    return hashlib.sha256(canonical(dict(request)).encode()).hexdigest()[:20]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
