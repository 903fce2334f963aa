"""Tries hard to break what a run promises: it survives any kill, any answer and any budget, and keeps
its servers busy.

    kill_runs    runs killed with SIGKILL at random moments and resumed: nothing lost, nothing twice,
                 nothing paid twice
    cluster_soak a Ray cluster that dies, while it makes indexes and runs: as in one process
    kill_shards  shards and merges of an index killed likewise: the files of one process
    batch_kills  the same at every step of a batch of answers
    malformed    answers that are malformed in every way: no crash, and no score from any
    bombs        answers of a server that fill the memory or never end: an error in time, under 1 GB
    flips        one changed bit in any file of a run, an index or the cache: noticed, or harmless
    edits        every value that a run shows, changed alone: noticed by its chain, or by a replay
    pressure     budgets hold, servers are kept busy, the program itself takes little time
    page_load    the review page stays quick for a visitor while others attack and load it
    fork_server  processes that can be killed by the hundred
    fixtures     the tiny subject, its index and the runs on it

Everything runs on this machine, on a synthetic subject and corpus, against a loopback server.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from . import (
    batch_kills,
    bombs,
    edits,
    fixtures,
    flips,
    kill_runs,
    kill_shards,
    malformed,
    page_load,
    pressure,
)
from .fork_server import ForkServer
from .promises import Promise, SoakResult, counts, never
from .run_checks import KillTally

Report = Callable[[str, int, int, str], None]
"""Called with the step, how much is done, the total, and the unit."""
CPU_MS = 50
"""Promised CPU time per reply, in milliseconds."""
BUSY_SHARE = 0.9
"""Promised share of time that the server is kept busy."""


@dataclass(frozen=True)
class Size:
    """How much to try."""

    kills: int = 500
    """Runs that are killed, each up to three times."""
    shard_kills: int = 200
    """Processes that make or merge a shard of an index and are killed."""
    malformed: int = 10_000
    flips: int = 500
    """Bits flipped in files of runs, indexes and the cache, one at a time."""
    forgeries: int = 10_000
    """Kinds of values of a log that are changed with a new chain, at most; 0 skips all edits."""
    limits: tuple[int, ...] = (1, 7, 30, 60)
    investigations: int = 32
    """Concurrent targets of the load test; 0 skips it."""
    targets: int = 96
    answer_s: float = 2.0
    cpu_targets: int = 48
    """Targets of the CPU test; 0 skips it."""
    bombs: tuple[str, ...] | None = ()
    """Names of the bombs of a model server; () is all, None skips them."""
    batch_every: int = 4
    """Steps of a batch between two at which a run is killed; 0 skips them."""
    batch_runs: int = 1000
    """Most such runs for each provider; a batch has about 110 steps."""
    half_open: int = 2000
    """Connections that are held open at the review page; 0 skips it."""
    page_requests: int = 10_000
    jobs: int = 2
    seed: int = 0


def soak(folder: Path, size: Size, report: Report) -> SoakResult:
    """Try every promise.

    Args:
        folder: scratch space.
    """
    fixtures.isolate(folder)
    report("preparing", 0, 1, "")
    index = fixtures.make_index(folder)
    with ExitStack() as stack:
        servers = [stack.enter_context(ForkServer(folder)) for _ in range(max(1, size.jobs))]
        killed = _kill_runs(folder, index, servers, size, report)
        shards = kill_shards.kill_shards(
            folder / "shards",
            servers[0],
            size.shard_kills,
            size.seed,
            lambda n: report("kills of shards", n, size.shard_kills, "processes"),
        )
        batches = _kill_batches(folder, index, servers[0], size, report)
        answers = malformed.give_malformed_answers(
            folder,
            index,
            servers[0],
            size.malformed,
            lambda n: report("malformed", n, size.malformed, "answers"),
        )
        flipped = flips.flip_bits(
            folder, servers[0], size.flips, size.seed, lambda n: report("flips", n, size.flips, "")
        )
        edited = edits.edit_runs(
            folder, index, size.forgeries, size.seed, lambda n, of: report("edits", n, of, "")
        )
        report("budgets", 0, len(size.limits), "limits")
        budgets = pressure.check_budgets(folder, index, servers[0], size.limits)
        report("load", 0, 1, "")
        load = cpu = None
        if size.investigations:
            load = pressure.measure_load(
                folder, index, servers[0], size.investigations, size.targets, size.answer_s
            )
        if size.cpu_targets:
            cpu = pressure.cpu_ms_per_turn(folder, index, servers[0], size.cpu_targets)
    bombed = None
    if size.bombs is not None:
        bombed = bombs.drop_bombs(lambda n, total: report("bombs", n, total, "bombs"), size.bombs)
    page = None
    if size.half_open:
        report("page", 0, 1, "")
        page = page_load.load_page(folder, size.half_open, size.page_requests)
    return _result(
        killed, shards, batches, answers, flipped, edited, budgets, load, cpu, page, bombed
    )


def _kill_runs(
    folder: Path, index: Path, fork_servers: list[ForkServer], size: Size, report: Report
) -> KillTally:
    """Kill runs until there are enough, with one thread per fork server."""
    total, numbers = KillTally(), count()

    def work(place: int, fork_server: ForkServer) -> None:
        own_folder = folder / f"killer-{place}"
        killer = kill_runs.RunKiller(own_folder, index, server, fork_server)
        while total.killed_runs < size.kills:
            total.add(killer.kill_one_run(next(numbers), size.seed))
            unit = f"runs, {total.broken} promises broken" if total.broken else "runs"
            report("kills", min(total.killed_runs, size.kills), size.kills, unit)

    if not size.kills:
        return total
    with kill_runs.soak_server() as server, ThreadPoolExecutor(len(fork_servers)) as pool:
        for _ in pool.map(work, range(len(fork_servers)), fork_servers):
            pass  # raises what a thread raised
    return total


def _kill_batches(
    folder: Path, index: Path, fork_server: ForkServer, size: Size, report: Report
) -> batch_kills.BatchKillTally:
    """Kill runs at the steps of their batches, of one provider after the other."""
    total = batch_kills.BatchKillTally()
    for number, provider in enumerate(kill_runs.PROVIDERS if size.batch_every else ()):
        report("batches", number, len(kill_runs.PROVIDERS), "providers")
        killer = batch_kills.BatchKiller(folder / "batches", index, fork_server, provider)
        total.add(killer.kill(size.batch_every, size.batch_runs))
    return total


def _result(
    killed: KillTally,
    shards: kill_shards.ShardKillTally,
    batches: batch_kills.BatchKillTally,
    answers: malformed.MalformedTally,
    flipped: flips.FlipTally,
    edited: edits.EditTally,
    budgets: list[pressure.BudgetCheck],
    load: pressure.ServerLoad | None,
    cpu: float | None,
    page: page_load.PageLoad | None,
    bombed: bombs.BombTally | None,
) -> SoakResult:
    promises = [
        *kill_promises(killed),
        *piece_promises(shards, batches),
        *answer_promises(answers),
        never("flipped bits that changed an output unnoticed", flipped.count("silent")),
        never("flipped bits that ended in a traceback", flipped.count("traceback")),
        never("changed values of a run that the chain did not notice", edited.unnoticed),
        never(
            "and with a forged chain, computed values that no replay noticed",
            edited.computed_unnoticed,
        ),
        *_budget_promises(budgets),
    ]
    if load is not None:
        enough = load.share is not None and (
            load.share >= BUSY_SHARE or load.bottleneck == "subject"
        )
        promises.append(
            Promise(
                "share of time that the server is kept busy", load.share, f">= {BUSY_SHARE}", enough
            )
        )
    if cpu is not None:
        promises.append(Promise("CPU ms a turn", round(cpu, 1), f"< {CPU_MS}", cpu < CPU_MS))
    if page is not None:
        promises += page_promises(page)
    if bombed is not None:
        promises += bomb_promises(bombed)
    figures = {
        "kills": counts(killed),
        "shard_kills": counts(shards),
        "batch_kills": counts(batches) | {"broken": batches.broken},
        "malformed": counts(answers),
        "flips": counts(flipped),
        "edits": counts(edited),
        "budgets": [vars(check) for check in budgets],
        "busy": None if load is None else vars(load),
        "cpu_ms_a_turn": cpu,
        "page": None if page is None else vars(page),
        "bombs": None if bombed is None else counts(bombed),
    }
    all_tallies = (killed, shards, batches, answers, flipped, edited, bombed)
    notes = [note for tally in all_tallies if tally for note in tally.notes]
    return SoakResult(promises, figures, notes)


def kill_promises(killed: KillTally) -> list[Promise]:
    """What holds under kills."""
    return [
        never("targets lost", killed.lost),
        never("targets that ended twice", killed.twice),
        never("runs that ended otherwise than an undisturbed one", killed.other_rows),
        never("journaled replies asked for again", killed.asked_again),
        never("replies journaled twice", killed.journaled_twice),
    ]


def piece_promises(
    shards: kill_shards.ShardKillTally, batches: batch_kills.BatchKillTally
) -> list[Promise]:
    """What holds when shards of an index and batches of answers are killed."""
    return [
        never("indexes of killed shards that differ from one process's", shards.differing),
        never("broken by kills at steps of a batch (paid twice, lost, other rows)", batches.broken),
    ]


def answer_promises(answers: malformed.MalformedTally) -> list[Promise]:
    """What holds under malformed answers."""
    return [
        never("crashes from malformed answers", answers.crashes),
        never("scores from malformed answers", answers.scored),
        never("explanations that no good answer proposed", answers.stray),
        never("targets that harmless faults changed", answers.changed),
        never("invalid token counts that were accepted", answers.believed),
        never("targets without an end", answers.unended),
        never("logs that cannot be read", answers.unreadable),
    ]


def bomb_promises(bombed: bombs.BombTally) -> list[Promise]:
    """What holds under the bombs of a model server."""
    memory = round(bombed.peak_mb)
    return [
        never("crashes from bombs of a model server", bombed.crashes),
        never("bombs that held a question too long", bombed.late),
        Promise("memory under them, MB", memory, f"< {bombs.MEMORY_MB}", memory < bombs.MEMORY_MB),
    ]


def page_promises(page: page_load.PageLoad) -> list[Promise]:
    """What the review page promises to a visitor while it is attacked and loaded."""
    slowest, memory, printed = page.slowest_ms, page.peak_mb, page.stderr_bytes
    limits = (page_load.SLOWEST_MS, page_load.MEMORY_MB, page_load.STDERR_BYTES)
    return [
        never("visits to a crowded page that failed", page.failed_visits),
        never("requests to it that were not answered", page.requests - page.answered),
        Promise("slowest visit, ms", round(slowest), f"< {limits[0]}", slowest < limits[0]),
        Promise(
            "memory of the page's server, MB", round(memory), f"< {limits[1]}", memory < limits[1]
        ),
        Promise("bytes that it printed", printed, f"< {limits[2]}", printed < limits[2]),
    ]


def _budget_promises(budgets: list[pressure.BudgetCheck]) -> list[Promise]:
    return [
        never("calls over a budget and those in flight", sum(check.over for check in budgets)),
        never("requests that the log does not count", sum(check.unlogged for check in budgets)),
    ]
