"""Rows streamed from a data set on the Hugging Face hub, through the optional `datasets`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from ..errors import UnavailableError
from .row import Row


class HubRows:
    """The rows of one split, which are read again at each iteration.

    Attributes:
        name: `owner/name`; `split`: of it.
        fingerprint: of its name and version.
    """

    def __init__(self, spec: str, name: str, split: str, rows: Any) -> None:
        self.name, self.split, self._spec, self._rows = name, split, spec, rows
        version = getattr(getattr(rows, "info", None), "version", "")
        self.fingerprint = hashlib.sha256(f"{spec}\0{version}".encode()).hexdigest()

    def __iter__(self) -> Iterator[Row]:
        for number, row in enumerate(self._rows, 1):
            yield Row(f"{self._spec}, row {number}", row)


def hub_rows(spec: str, hint: str) -> HubRows:
    """Open a data set; ``owner/name`` reads its split `train`, ``owner/name:test`` `test`.

    Args:
        hint: what else the name could have meant; begins the message of an error.

    Raises:
        UnavailableError: `datasets` is not installed, or the hub or the data set is not available.
    """
    name, _, split = spec.partition(":")
    split = split or "train"
    try:
        datasets: Any = import_module("datasets")
    except ImportError as error:
        raise UnavailableError(
            f"{hint}; to read it from the hub: pip install 'hubel[hub]'"
        ) from error
    try:
        rows: Any = datasets.load_dataset(name, split=split, streaming=True)
    except Exception as error:
        # `datasets` and the hub's clients share no base class for a bad name or a failed request.
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UnavailableError(f"{hint}; the hub does not give it: {reason}") from error
    return HubRows(spec, name, split, rows)
