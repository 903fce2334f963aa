"""The shards of one index, held against each other before anything is merged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ...errors import UsageError
from .shard import Shard, listed
from .shard_folder import ShardFolder

ENVIRONMENT = {"device": "device", "threads": "number of threads", "cpu": "kind of CPU"}
"""What a shard records of where it was computed, and how it is called."""


def open_parts(paths: Sequence[Path], warn: Callable[[str], None]) -> list[ShardFolder]:
    """The finished shards in some folders, in the order of their numbers.

    Args:
        warn: called with a line where equal shards come from unlike machines.

    Raises:
        UsageError: a shard is missing or given twice, or they are not of one index.
        CorruptError: a file of one is missing or cut short, or a description is damaged.
    """
    if not paths:
        raise UsageError("no shards given; give the folders of all shards of an index")
    parts = sorted((ShardFolder.open(path) for path in paths), key=lambda part: part.shard.number)
    _check_numbers(parts)
    _check_same(parts)
    for name, label in ENVIRONMENT.items():
        values = {part.shard.number: _values(part, name) for part in parts}
        if len(set(values.values())) > 1:
            warn(
                f"the shards were computed with more than one {label} ({_by_value(values)}): "
                "the last bits of the index may not be those of a pass in one process"
            )
    return parts


def _check_numbers(parts: Sequence[ShardFolder]) -> None:
    """Raise UsageError unless each shard is there once."""
    first = parts[0]
    for part in parts:
        if part.shard.count != first.shard.count:
            raise UsageError(
                f"{str(first.path)!r} is shard {first.shard} and {str(part.path)!r} is shard "
                f"{part.shard}; give the shards of one count"
            )
    by_number: dict[int, Path] = {}
    for part in parts:
        if part.shard.number in by_number:
            other = by_number[part.shard.number]
            raise UsageError(
                f"shard {part.shard} is given twice: {str(other)!r} and {str(part.path)!r}; "
                "give each once"
            )
        by_number[part.shard.number] = part.path
    count = first.shard.count
    if missing := [number for number in range(1, count + 1) if number not in by_number]:
        raise UsageError(
            f"{listed(missing)} of {count} {'are' if len(missing) > 1 else 'is'} missing: give "
            f"{'their folders' if len(missing) > 1 else 'its folder'}, or compute "
            f"{'them' if len(missing) > 1 else 'it'} with "
            f"`hubel index --shard {Shard(missing[0], count)}`"
        )


def _check_same(parts: Sequence[ShardFolder]) -> None:
    """Raise UsageError unless all are shards of one index, computed by the same versions."""
    first = parts[0]
    for part in parts:
        theirs, ours = _identity(part), _identity(first)
        if theirs != ours:
            names = (name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name))
            named = ", ".join(
                f"{name} ({ours[name]} and {theirs[name]})"
                if isinstance(ours.get(name), str | int) and name in theirs
                else name
                for name in names
            )
            raise UsageError(
                f"shards {first.shard} ({str(first.path)!r}) and {part.shard} ({str(part.path)!r}) "
                f"differ in {named}; compute one of them again, or give shards of one index"
            )


def _identity(part: ShardFolder) -> dict[str, Any]:
    """What is the same for all shards of an index."""
    versions = {f"version of {name}": number for name, number in part.versions.items()}
    rest = {"dtype": part.dtype, "number of tokens": part.tokens, "number of units": part.units}
    return {**part.settings, **rest, **versions}


def _values(part: ShardFolder, name: str) -> str:
    return " and ".join(sorted({str(environment[name]) for environment in part.environments}))


def _by_value(values: dict[int, str]) -> str:
    """``2: shards 1 and 3; 4: shard 2``."""
    shards: dict[str, list[int]] = defaultdict(list)
    for number, value in values.items():
        shards[value].append(number)
    return "; ".join(f"{value}: {listed(numbers)}" for value, numbers in shards.items())


def total_bytes(parts: Iterable[ShardFolder]) -> int:
    """Of all files of the shards."""
    return sum(part.summary.bytes for part in parts)
