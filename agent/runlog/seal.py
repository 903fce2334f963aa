"""The seal of a finished log: how many events it has, where its chain ends, and its segments' hashes.

A chain shows whether an event inside it was changed, but not whether its end was cut off. So when a
run has ended, `seal.json` next to the log says where it ended. It is written last and in one step.
What is written after it (an evaluation, say) continues the chain and is sealed again.

    {"events": 812, "unchained": 0, "head": "9f...", "segments": {"0001-4711.parquet": "5c..."},
     "files": {"collected/explore.safetensors": "a1..."}}

`files` repeats what the log says of the data files, so that one can be checked without reading the log.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from ...tools.errors import CorruptError
from ...tools.files import atomic_file
from ...tools.files.regular_file import read_regular
from .layout import SEAL

MAX_BYTES = 64 << 20
"""A seal has one line per segment and data file, which is far less."""
Hashes = dict[str, str]
"""Name of a file to its SHA-256 as hexadecimal digits."""


class Seal(NamedTuple):
    """The content of `seal.json`; all hashes are SHA-256 as hexadecimal digits."""

    events: int
    unchained: int
    """How many of the events have no hash, being from before the chain."""
    head: str
    segments: Hashes
    files: Hashes


def read_seal(folder: Path) -> Seal | None:
    """The seal of a run; None if it has none, because it has not ended or is older than seals.

    Raises:
        CorruptError: it cannot be read.
    """
    path = folder / SEAL
    try:
        content = json.loads(read_regular(path, MAX_BYTES, inside=folder))
        seal = Seal(**content)
        values = [seal.head, *seal.segments.values(), *seal.files.values()]
        numbers = {type(seal.events), type(seal.unchained)}
        if numbers != {int} or not all(isinstance(value, str) for value in values):
            raise ValueError("a value has another type")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CorruptError(
            f"{path} cannot be read ({' '.join(str(error).split())}); restore it from a copy of the run"
        ) from None
    return seal


def write_seal(folder: Path, seal: Seal) -> None:
    """Write `seal.json`, whole or not at all."""
    with atomic_file(folder / SEAL) as partial:
        partial.write_text(json.dumps(seal._asdict(), indent=1) + "\n", encoding="utf-8")
