"""What a run promises, tried hard: it survives any kill, any answer and any budget, and keeps its
servers busy.

    kills       runs killed with SIGKILL at random moments and resumed: nothing lost, nothing twice, nothing paid twice
    malformed   answers that are wrong in every way: no crash, and no score from any
    load        budgets held, servers kept busy, little time of its own
    nursery     processes that can be killed by the hundred
    ground      the tiny subject and the runs on it

Everything runs on this machine, on a subject and a corpus that are made on the spot, against a
loopback server.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from . import fixtures, kill_runs, malformed, pressure
from .fork_server import ForkServer

Report = Callable[[str, int, int, str], None]
"""Step, done, of how many, what unit."""
CPU_MS = 50
BUSY_SHARE = 0.9


@dataclass(frozen=True)
class Size:
    """How hard to try."""

    kills: int = 500
    """Runs that are killed, each up to three times."""
    malformed: int = 10_000
    limits: tuple[int, ...] = (1, 7, 30, 60)
    investigations: int = 32
    """Side by side; 0 leaves the server's share out."""
    targets: int = 96
    answer_s: float = 2.0
    cpu_targets: int = 48
    """0 leaves the CPU time out."""
    jobs: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Promise:
    """One line of the table."""

    what: str
    found: Any
    promised: str
    kept: bool


@dataclass(frozen=True)
class SoakResult:
    """All that was counted."""

    promises: list[Promise]
    figures: dict[str, Any]
    notes: list[str]

    @property
    def kept(self) -> bool:
        """Whether every promise was."""
        return all(promise.kept for promise in self.promises)


def soak(folder: Path, size: Size, report: Report) -> SoakResult:
    """Try every promise; `folder` is for scratch."""
    fixtures.use(folder)
    report("preparing", 0, 1, "")
    index = fixtures.make_index(folder)
    with ExitStack() as stack:
        nurseries = [stack.enter_context(ForkServer(folder)) for _ in range(max(1, size.jobs))]
        killed = _kill(folder, index, nurseries, size, report)
        bad = malformed.torment(
            folder,
            index,
            nurseries[0],
            size.malformed,
            lambda n: report("malformed", n, size.malformed, "answers"),
        )
        report("budgets", 0, len(size.limits), "limits")
        budgeted = pressure.budgets(folder, index, nurseries[0], size.limits)
        report("load", 0, 1, "")
        busy = None
        if size.investigations:
            busy = pressure.busy(
                folder, index, nurseries[0], size.investigations, size.targets, size.answer_s
            )
        cpu = (
            pressure.cpu_a_turn(folder, index, nurseries[0], size.cpu_targets)
            if size.cpu_targets
            else None
        )
    return _found(killed, bad, budgeted, busy, cpu)


def _kill(
    folder: Path, index: Path, nurseries: list[ForkServer], size: Size, report: Report
) -> kill_runs.KillTally:
    """Killed runs until there are enough, each nursery on its own."""
    total, numbers = kill_runs.KillTally(), count()

    def work(place: int, nursery: ForkServer) -> None:
        mine = folder / f"killer-{place}"
        killer = kill_runs.Killer(mine, index, server, nursery)
        while total.killed_runs < size.kills:
            total.add(killer.one(next(numbers), size.seed))
            told = f"runs, {total.broken} promises broken" if total.broken else "runs"
            report("kills", min(total.killed_runs, size.kills), size.kills, told)

    if not size.kills:
        return total
    with kill_runs.curious_server() as server, ThreadPoolExecutor(len(nurseries)) as pool:
        for done in [pool.submit(work, place, nursery) for place, nursery in enumerate(nurseries)]:
            done.result()
    return total


def _found(
    killed: kill_runs.KillTally,
    bad: malformed.MalformedTally,
    budgeted: list[pressure.Budgeted],
    busy: pressure.ServerLoad | None,
    cpu: float | None,
) -> SoakResult:
    promises = [
        _none("targets lost", killed.lost),
        _none("targets that ended twice", killed.twice),
        _none("runs that ended otherwise than an undisturbed one", killed.other_rows),
        _none("journaled replies asked for again", killed.asked_again),
        _none("replies journaled twice", killed.journaled_twice),
        _none("crashes from malformed answers", bad.crashes),
        _none("scores from malformed answers", bad.scored),
        _none("explanations that no good answer proposed", bad.stray),
        _none("targets that harmless faults changed", bad.changed),
        _none("token counts that are none, believed", bad.believed),
        _none("targets without an end", bad.unended),
        _none("logs that cannot be read", bad.unreadable),
        _none("calls over a budget and those in flight", sum(b.over for b in budgeted)),
    ]
    if busy is not None:
        enough = busy.share is not None and (
            busy.share >= BUSY_SHARE or busy.bottleneck == "subject"
        )
        promises.append(
            Promise(
                "share of time that the server is kept busy", busy.share, f">= {BUSY_SHARE}", enough
            )
        )
    if cpu is not None:
        promises.append(Promise("CPU ms a turn", round(cpu, 1), f"< {CPU_MS}", cpu < CPU_MS))
    figures = {
        "kills": {k: v for k, v in vars(killed).items() if k != "notes"},
        "malformed": {k: v for k, v in vars(bad).items() if k != "notes"},
        "budgets": [vars(b) for b in budgeted],
        "busy": None if busy is None else vars(busy),
        "cpu_ms_a_turn": cpu,
    }
    return SoakResult(promises, figures, [*killed.notes, *bad.notes])


def _none(what: str, n: int) -> Promise:
    return Promise(what, n, "0", n == 0)
