"""Results of a bench, cached as they are made, so that a stopped bench continues where it was; and
what the rows of all circuit benches have in common.

One small file per result, named after everything that it depends on: the code of some folders, and
whatever the bench adds (program, difficulty, seed, method). Other code or another seed gives another
name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..tools.files import cache_dir
from ..tools.files.sealed_json import read_sealed, write_sealed


class ResultCache:
    """The results of one bench.

    Args:
        bench: name of the bench, and of its folder in the cache.
        code: digest of the code that results depend on.
    """

    def __init__(self, bench: str, code: str, root: Path | None = None) -> None:
        self.folder, self._code = (root or cache_dir()) / "bench" / bench, code

    def get_or_make(self, make: Callable[[], dict[str, Any]], *key: object) -> dict[str, Any]:
        """The cached result of a key, or else what `make` returns, which is cached."""
        path = self._path(key)
        with suppress(OSError, ValueError):  # not there, or damaged
            return read_sealed(path)["result"]
        result = make()
        write_sealed(path, {"of": [str(part) for part in key], "result": result})
        return result

    def _path(self, key: Iterable[object]) -> Path:
        name = json.dumps([self._code, *map(str, key)])
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.json"


class MethodRow(Protocol):
    """One circuit's row: the results of each method, as NamedTuples, and facts of the circuit."""

    @property
    def methods(self) -> Mapping[str, Any]: ...

    def _asdict(self) -> dict[str, Any]: ...


def row_to_dict(row: MethodRow) -> dict[str, Any]:
    """A row for a JSON line."""
    methods = {method: result._asdict() for method, result in row.methods.items()}
    return {**row._asdict(), "methods": methods}


def means(rows: Sequence[MethodRow], figure: str) -> dict[str, float]:
    """The mean of one figure over all rows, by method."""
    methods = list(dict.fromkeys(method for row in rows for method in row.methods))
    return {
        method: float(np.mean([getattr(row.methods[method], figure) for row in rows]))
        for method in methods
    }
