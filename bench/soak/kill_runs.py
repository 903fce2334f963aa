"""Runs that are killed at random moments and resumed until they are done, held against a run that
nobody touched.

1. A run of two targets side by side is taken to its end undisturbed, over each provider's wire:
   what its rows say is what all others must say, and how long it took is the span from which
   moments are drawn.
2. A run like it is started, killed with SIGKILL at a moment drawn from that span, and started
   again, up to MOST times; then it is let be.
3. At the end the run's log and the server's ledger are held against each other, process by process:
   each process of a run shows a key of its own, and what the journal held when it began is what it
   must not ask. (By the moment at which a request was read it cannot be told whose it is: one that
   a killed process had sent may still lie in the socket.) The server writes the hash of the request
   into the ids of the tool calls of its answer, so that a journaled reply names its request.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...agent.llm.conversation import Reply, Request, ToolCall, UserMessage
from ...agent.runlog.log import Data, canonical, read_events
from ...agent.runlog.views import target_rows
from ..loopback import Loopback, Rule, Script
from ..loopback.demo_model import Beginner
from ..loopback.wires import Provider
from . import fixtures
from .fork_server import ForkServer

MOST = 3
"""Kills of one run."""
DELAY_S = 0.02
"""Of an answer, so that a share of the kills finds one in flight."""
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic")
_TIMES = ("seconds", "cached_tokens")
"""What rows say of the server's clock and cache, which no two runs share."""


class Curious(Beginner):
    """A beginner that also predicts where the unit stays quiet, which it mostly does, and looks
    things up beside it.

    A random subject has no meaning to find; so much is needed to come to a second look, holdout and
    a verdict.
    """

    def reply(self, request: Request) -> Reply:
        """Several tools at once, as language models do."""
        found = super().reply(request)
        tested = next(
            (call for call in found.calls if call.name in ("experiment", "challenge")), None
        )
        if tested is None or not tested.arguments:
            return found
        planned = tested.arguments["experiments"][:3] + _quiet(request, tested.name)
        calls = [(tested.name, {"experiments": planned}), *LOOKS]
        made = [
            ToolCall(f"call_{i}", name, given, json.dumps(given))
            for i, (name, given) in enumerate(calls)
        ]
        return Reply(found.text, tuple(made), "tools", model=found.model)


LOOKS: tuple[tuple[str, Data], ...] = (
    ("logit_lens", {"unit": "U"}),
    ("activations_exemplars", {"unit": "U", "side": "-", "k": 2}),
    ("ablate", {"texts": ["the cat sat on the river bank"]}),
)
_LEVEL = re.compile(r"Side (.): fires means .*? at least ([\d.e-]+)")


def _quiet(request: Request, tool: str) -> list[Data]:
    """Predictions that a word in a place of its own leaves the unit below what counts as firing."""
    first = request.messages[0]
    levels = _LEVEL.findall(first.text if isinstance(first, UserMessage) else "")
    made: list[Data] = []
    for number, word in enumerate(("cat", "river", "told", "year", "blue")):
        side, level = levels[number % len(levels)]
        bounds = {"low": -1e6, "high": 0.99 * float(level), "side": side, "focus": word}
        made.append({"text": f"the {tool} {number} said {word}", "predicts": "within"} | bounds)
    return [one | ({"hypothesis": "h1"} if tool == "experiment" else {}) for one in made]


@dataclass(frozen=True)
class Life:
    """One process of a run: the key that it showed to the server, and what the journal held before and after it."""

    key: str
    before: frozenset[str]
    after: frozenset[str]

    def asked_again(self, asked: Counter[str]) -> int:
        """Requests of this process whose reply was in the journal when it began, or that it sent
        twice.

        Args:
            asked: hash of a request to how often this process sent it.
        """
        return sum(n if hash in self.before else n - 1 for hash, n in asked.items())

    def in_flight(self, asked: Counter[str]) -> int:
        """Requests of this process whose reply it did not live to write down."""
        return len(set(asked) - self.before - self.after)


@dataclass
class KillTally:
    """What was counted. Every figure but the first four must be 0."""

    runs: int = 0
    killed_runs: int = 0
    kills: int = 0
    in_flight: int = 0
    """Requests that were with the server, or answered and not yet journaled, when their run was killed: asked again."""
    asked_again: int = 0
    """Requests asked again although their reply was in the journal."""
    journaled_twice: int = 0
    lost: int = 0
    """Targets without an end."""
    twice: int = 0
    """Targets that ended more than once."""
    other_rows: int = 0
    """Runs whose rows are not those of the undisturbed run."""
    calls: int = 0
    """Requests that were answered, over all runs."""
    notes: list[str] = field(default_factory=list)

    @property
    def broken(self) -> int:
        """How often something happened that must not."""
        return self.asked_again + self.journaled_twice + self.lost + self.twice + self.other_rows

    def add(self, other: KillTally) -> None:
        """Count another's as well."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@contextmanager
def curious_server() -> Iterator[Loopback]:
    """The server of all runs that are killed."""
    with Loopback(Curious(), script=Script(rules=(Rule(delay_s=DELAY_S),)), keep=False) as server:
        yield server


@dataclass(frozen=True)
class Undisturbed:
    """What every run should end like, and how long it takes."""

    rows: list[Data]
    seconds: float


class Killer:
    """Kills runs and counts. One nursery each; several work side by side on one server.

    Args:
        folder: where its runs live while they are looked at.
    """

    def __init__(self, folder: Path, index: Path, server: Loopback, nursery: ForkServer) -> None:
        self._folder, self._index, self._server, self._nursery = folder, index, server, nursery
        self._whole = {provider: self._undisturbed(provider) for provider in PROVIDERS}

    def one(self, number: int, seed: int) -> KillTally:
        """One run, killed and resumed."""
        random_ = random.Random(f"{seed}:{number}")
        provider = PROVIDERS[number % 2]
        whole, room = self._whole[provider], f"run-{number}"
        folder, tally = self._make(provider, room), KillTally(runs=1)
        lives: list[Life] = []
        for _ in range(random_.randint(1, MOST)):
            if not self._kill(folder, whole.seconds * random_.random(), tally, lives):
                break
        self._finish(folder, tally, lives)
        self._compare(folder, room, tally, lives)
        self._look(folder, whole, tally)
        shutil.rmtree(folder)
        return tally

    def _make(self, provider: str, room: str) -> Path:
        url = self._server.url(provider, room)
        wanted = fixtures.targets(2, first=4)
        return fixtures.make(
            self._folder / room,
            self._index,
            wanted,
            explainer=f"{provider}:soak",
            base_url=url,
            concurrency=2,
        )

    def _undisturbed(self, provider: str) -> Undisturbed:
        folder = self._make(provider, f"{self._folder.name}-{provider}")
        started = time.monotonic()
        self._finish(folder, KillTally(), [])
        return Undisturbed(_timeless(target_rows(folder)), time.monotonic() - started)

    def _kill(self, folder: Path, after_s: float, tally: KillTally, lives: list[Life]) -> bool:
        """Start, kill and take stock; False when the run was faster."""
        key, before = f"life-{len(lives)}", _journaled(folder)
        pid = self._nursery.start(folder, key=key)
        time.sleep(after_s)
        with suppress(ProcessLookupError):  # it was faster
            os.kill(pid, signal.SIGKILL)
        ended = self._nursery.wait()
        lives.append(Life(key, frozenset(before), frozenset(_journaled(folder))))
        if ended.status != -signal.SIGKILL:
            return False
        tally.killed_runs, tally.kills = 1, tally.kills + 1
        return True

    def _finish(self, folder: Path, tally: KillTally, lives: list[Life]) -> None:
        """Let it be until it is done."""
        key, before = f"life-{len(lives)}", _journaled(folder)
        ended = self._nursery.work(folder, key=key)
        lives.append(Life(key, frozenset(before), frozenset(_journaled(folder))))
        if ended.status != 0:
            tally.lost += 1
            tally.notes.append(f"{folder.name} ended with {ended.status}")

    def _compare(self, folder: Path, room: str, tally: KillTally, lives: list[Life]) -> None:
        """The server's book against the journal."""
        entries = self._server.ledger.entries(room)
        tally.calls += len(entries)
        for life in lives:
            asked = Counter(entry.hash for entry in entries if entry.key == life.key)
            tally.in_flight += life.in_flight(asked)
            if again := life.asked_again(asked):
                tally.asked_again += again
                tally.notes.append(f"{folder.name}: {life.key} asked {again} requests again")

    def _look(self, folder: Path, whole: Undisturbed, tally: KillTally) -> None:
        tally.journaled_twice += sum(n - 1 for n in Counter(_journaled(folder)).values())
        ends = Counter(e.target for e in read_events(folder) if e.event == "conclusion")
        found = target_rows(folder)
        tally.lost += sum(row["status"] != "done" or row["verdict"] is None for row in found)
        tally.twice += sum(n - 1 for n in ends.values())
        if (timeless := _timeless(found)) != whole.rows:
            tally.other_rows += 1
            tally.notes.append(f"{folder.name}: {_difference(whole.rows, timeless)}")


def _journaled(folder: Path) -> list[str]:
    """Hashes of the requests whose replies are in the log, as often as they are."""
    replies = [e.data["answer"] for e in read_events(folder) if e.event == "llm_call"]
    return [reply["calls"][0]["id"].rpartition("_")[2] for reply in replies]


def _timeless(found: list[Data]) -> list[Data]:
    return [{k: v for k, v in row.items() if k not in _TIMES} for row in found]


def _difference(expected: list[Data], found: list[Data]) -> str:
    for a, b in zip(expected, found, strict=True):
        for key in a:
            if canonical(_json(a[key])) != canonical(_json(b[key])):
                return f"{a['target']} {key}: {canonical(_json(a[key]))[:200]} became {canonical(_json(b[key]))[:200]}"
    return "the same when printed"


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
