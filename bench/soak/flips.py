"""One changed bit in any file of a run, an index or the cache: noticed, cured or without effect.

1. A small world is made once: a subject and a corpus on disk, an index of them and one that was stopped,
   a finished run, and one that was killed half-way (`flip_world`).
2. The commands that read each part are run on an undamaged copy. Later runs must print the same,
   except for times.
3. For each flip a part is copied, one bit of one of its files is changed, and the commands are run
   on the copy. Kinds of files take turns, so that small ones are tried as often as large ones.

Every command line runs in a new process, forked from a fork server.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .flip_world import PARTS, Part, Step, make_world
from .fork_server import ForkServer

Outcome = Literal["harmless", "cured", "noticed", "traceback", "silent"]
OUTCOMES: tuple[Outcome, ...] = ("harmless", "cured", "noticed", "traceback", "silent")
"""From best to worst.

harmless: the same output; cured: the same, and standard error says that something was made again;
noticed: another exit status and a message; traceback: a crash, a signal or no end; silent: another
output with status 0.
"""
_TIMES = {"seconds", "forward_seconds", "total_seconds", "peak_rss_mb", "cached_tokens"}
"""Keys of JSON that differ from run to run."""


@dataclass
class FlipTally:
    """Counts over all flips. Those of `silent` and `traceback` must be 0."""

    flips: int = 0
    by_kind: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        """Flips of an outcome, over all kinds of files."""
        return sum(counts[outcome] for counts in self.by_kind.values())

    def add(self, kind: str, outcome: Outcome, note: str) -> None:
        """Count one flip; the worst outcomes are noted."""
        counts = self.by_kind.setdefault(kind, dict.fromkeys(OUTCOMES, 0))
        self.flips, counts[outcome] = self.flips + 1, counts[outcome] + 1
        if outcome in ("silent", "traceback"):
            self.notes.append(f"{outcome}: {kind}: {note}")


@dataclass(frozen=True)
class CommandResult:
    """How a command line ended: its exit status, what it printed without times, and its errors."""

    status: int
    output: str
    errors: str


def flip_bits(
    folder: Path,
    fork_server: ForkServer,
    n: int,
    seed: int,
    report: Callable[[int], None],
    parts: Sequence[str] = PARTS,
) -> FlipTally:
    """Flip `n` bits, one at a time.

    Args:
        folder: scratch space.
        parts: names of what is damaged.
    """
    tally = FlipTally()
    if not n:
        return tally
    flipper = _Flipper(folder / "flips", fork_server, seed, parts)
    for number in range(n):
        flipper.flip_one(number, tally)
        report(number + 1)
    return tally


class _Flipper:
    def __init__(
        self, folder: Path, fork_server: ForkServer, seed: int, names: Sequence[str]
    ) -> None:
        self._folder, self._fork_server, self._seed = folder, fork_server, seed
        self._parts = [part for part in make_world(folder, fork_server) if part.name in names]
        self._expected = {part.name: self._run_steps(part) for part in self._parts}
        for part in self._parts:
            self._check_repeatable(part)
        kinds: dict[str, tuple[Part, list[Path]]] = {}
        for part in self._parts:
            for path in sorted(part.files()):
                kind = f"{part.name}: {kind_of(path)}"
                kinds.setdefault(kind, (part, []))[1].append(path)
        self._kinds = list(kinds.items())

    def flip_one(self, number: int, tally: FlipTally) -> None:
        """Flip a random bit of a file; kinds of files take turns."""
        rng = random.Random(f"{self._seed}:{number}")
        kind, (part, paths) = self._kinds[number % len(self._kinds)]
        path = rng.choice(paths)
        place = rng.randrange(8 * (part.original / path).stat().st_size)
        outcome, note = self._try(part, path, place)
        tally.add(kind, outcome, f"{path} bit {place}: {note}")

    def _check_repeatable(self, part: Part) -> None:
        """Raise RuntimeError unless the commands succeed on an undamaged copy, twice alike."""
        results, expected = self._run_steps(part), self._expected[part.name]
        for step, result, first in zip(part.steps, results, expected, strict=True):
            if result.status or result != first:
                raise RuntimeError(
                    f"{part.name}, undamaged: {step.argv} ended with {result.status}, "
                    f"{difference(result.output, first.output)}, {result.errors[-600:]!r}"
                )

    def _try(self, part: Part, path: Path, place: int) -> tuple[Outcome, str]:
        """The worst outcome of the part's commands."""
        results = self._run_steps(part, lambda: flip(part.place / path, place))
        expected = self._expected[part.name]
        outcomes: list[Outcome] = [
            outcome_of(*pair) for pair in zip(results, expected, strict=False)
        ]
        worst = max(range(len(outcomes)), key=lambda i: OUTCOMES.index(outcomes[i]))
        command, result = " ".join(part.steps[worst].argv[:2]), results[worst]
        note = difference(result.output, expected[worst].output)
        if outcomes[worst] == "traceback":
            note = f"status {result.status}: {result.errors[-600:]}"
        return outcomes[worst], f"{command}: {note}"

    def _run_steps(
        self, part: Part, damage: Callable[[], None] = lambda: None
    ) -> list[CommandResult]:
        """Run the commands of a part on a fresh copy; a failed step ends those that build on it."""
        shutil.rmtree(self._folder / "trial", ignore_errors=True)
        part.copy()
        damage()
        results: list[CommandResult] = []
        for step in part.steps:
            results.append(self._run(step))
            if step.leads_on and results[-1].status:
                break
        return results

    def _run(self, step: Step) -> CommandResult:
        output = self._folder / "output"
        exit_ = self._fork_server.command(step.argv, output, step.cache)
        printed = output.read_text(errors="replace")
        if step.writes and step.writes.exists():
            printed += step.writes.read_text(errors="replace")
        errors = output.with_name("output.err").read_text(errors="replace")
        return CommandResult(exit_.status, without_times(printed), without_times(errors))


def flip(path: Path, place: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)


def outcome_of(result: CommandResult, expected: CommandResult) -> Outcome:
    """How a command took a flip."""
    if result.status < 0 or "Traceback (most recent call last)" in result.errors + result.output:
        return "traceback"
    if result.status:
        return "noticed" if result.errors.strip() else "traceback"
    if result.output != expected.output:
        return "silent"
    return "harmless" if result.errors == expected.errors else "cured"


def kind_of(path: Path) -> str:
    """The kind of a file by its path in its part: ``events/*.jsonl``, ``explore/exemplars``."""
    folder = "/".join(re.sub(r"[0-9a-f]{8,}|\d+", "*", name) for name in path.parts[:-1])
    if path.suffix in (".jsonl", ".parquet", ".safetensors") and folder:
        name = path.name if len(path.stem) > 3 and path.stem.isalpha() else f"*{path.suffix}"
    else:
        name = re.sub(r"[0-9a-f]{8,}|\d+", "*", path.name)
    return f"{folder}/{name}" if folder else name


def without_times(text: str) -> str:
    """Output without what differs from run to run."""
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.dumps(_untimed(json.loads(line))))
        except ValueError:
            lines.append(re.sub(r"\d+(\.\d+)? ?(s|ms)\b", "_ s", line))
    return "\n".join(lines)


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untimed(item) for key, item in value.items() if key not in _TIMES}
    return [_untimed(item) for item in value] if isinstance(value, list) else value


def difference(text: str, expected: str) -> str:
    """The first place where two outputs differ, as a line."""
    pairs = zip(text.splitlines() or [""], expected.splitlines() or [""], strict=False)
    for line, other in pairs:
        if line != other:
            at = next((i for i, (a, b) in enumerate(zip(line, other, strict=False)) if a != b), 0)
            return (
                f"{other[max(0, at - 60) : at + 40]!r} became {line[max(0, at - 60) : at + 40]!r}"
            )
    return f"{len(expected)} characters became {len(text)}"
