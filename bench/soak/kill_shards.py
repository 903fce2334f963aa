"""Shards and merges of an index that are killed at random moments and started again, compared with an
index by one process.

1. One process makes the index, with an activation store in 8 bits. Its files are those that all
   others must end with.
2. The same index is made in 1 to 7 shards and merged. Each shard and each merge is started, killed with
   SIGKILL at a random moment of the time that it took without, and started again until it ends; each
   batch has a checkpoint.
3. Every file is compared, and `index.json` but for times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .fork_server import ForkServer
from .shard_steps import Step

COUNTS = (1, 2, 3, 4, 7)
"""Numbers of shards; the corpus has fewer than 7 batches in two of its splits."""
MAX_KILLS = 4
"""Kills of one process, at most; the next one may end."""
TIMES = ("summary", "shards", "sha256")
"""What `index.json` says of how an index was made."""


@dataclass
class ShardKillTally:
    """Counts over all merged indexes. `differing` must be 0."""

    indexes: int = 0
    shards: int = 0
    kills: int = 0
    of_merges: int = 0
    differing: int = 0
    """Indexes with a file that is not that of one process, or that could not be made."""
    notes: list[str] = field(default_factory=list)


def kill_shards(
    folder: Path, fork_server: ForkServer, kills: int, seed: int, report: Callable[[int], None]
) -> ShardKillTally:
    """Make, kill and compare indexes until so many processes have been killed.

    Args:
        report: called with the number of kills so far.
    """
    tally, rng = ShardKillTally(), random.Random(f"{seed}:shards")
    if not kills:
        return tally
    folder.mkdir(parents=True, exist_ok=True)
    killer = _ShardKiller(fork_server, tally, rng)
    whole = folder / "whole"
    start = time.monotonic()
    fork_server.start_index({"out": str(whole)})
    fork_server.wait()
    killer.seconds = time.monotonic() - start
    expected = index_files(whole)
    while tally.kills < kills:
        count, work = rng.choice(COUNTS), folder / "work"
        parts = [work / str(number) for number in range(1, count + 1)]
        steps: list[Step] = [
            {"out": str(part), "shard": f"{number}/{count}"} for number, part in enumerate(parts, 1)
        ]
        merge: Step = {"out": str(work / "index"), "parts": [str(part) for part in parts]}
        ended = all(killer.until_it_ends(step) for step in [*steps, merge])
        if not ended or index_files(work / "index") != expected:
            tally.differing += 1
            tally.notes.append(f"an index of {count} shards differs from that of one process")
        tally.indexes += 1
        tally.shards += count
        shutil.rmtree(work)
        report(min(tally.kills, kills))
    return tally


class _ShardKiller:
    """Starts processes, and kills them.

    Attributes:
        seconds: that the whole index took.
    """

    def __init__(self, fork_server: ForkServer, tally: ShardKillTally, rng: random.Random) -> None:
        self._fork_server, self._tally, self._rng = fork_server, tally, rng
        self.seconds = 1.0

    def until_it_ends(self, step: Step) -> bool:
        """Do a step, with up to `MAX_KILLS` kills; whether it ended well."""
        for _ in range(self._rng.randint(0, MAX_KILLS)):
            pid = self._fork_server.start_index(step)
            time.sleep(self.seconds * self._rng.random())
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if self._fork_server.wait().status != -signal.SIGKILL:
                break
            self._tally.kills += 1
            self._tally.of_merges += "parts" in step
        self._fork_server.start_index(step)
        status = self._fork_server.wait().status
        if status:
            self._tally.notes.append(f"{step} ended with status {status}")
        return not status


def index_files(index: Path) -> dict[str, bytes]:
    """The content of all files of an index; of `index.json`, what says nothing of how it was made."""
    paths = sorted(path for path in index.rglob("*") if path.is_file())
    content = {path.relative_to(index).as_posix(): path.read_bytes() for path in paths}
    if "index.json" in content:
        description = json.loads(content["index.json"])
        kept = {name: value for name, value in description.items() if name not in TIMES}
        content["index.json"] = json.dumps(kept, sort_keys=True).encode()
    return content
