"""Pieces on the workers of a Ray cluster, whose processes and nodes may die at any moment.

1. Workers are actors, started side by side; each reports what it has, and one that would not do as
   this process does is left out, with a line.
2. Whoever has a piece or a call waits for a free worker, hands it over and waits for the answer.
3. A worker that dies is replaced, and its piece goes to another one. A piece at which `MOST_DEATHS`
   workers died is given up: it may be what kills them.
4. An answer that is an error of hubel's is the piece's failure. Only a worker that calls itself
   unfit is left out, and its piece goes to another one.

Ray's own restarts and retries are off, so that there is one count of deaths, and a worker that
comes back is checked again.
"""

from __future__ import annotations

import os
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ...tools.errors import HubelError, UnavailableError
from ...tools.files import writing
from ..runlog.stopping import Stopped
from .cluster import WorkerSize, cluster_size, connect, one_line, worker_size
from .engine import EngineChoice, NoWorkerError
from .head import LOOK_S, Head, LostHead
from .piece import Piece, PieceOutcome, SmallCall
from .piece_feed import PieceFeed
from .ray_worker import LivingWorker, RayWorker, WorkerOrder, check_report, versions_here
from .worker import UnfitWorker

MOST_DEATHS = 5
"""Workers that may die at one piece: chance rarely hits one piece five times in a row."""
MOST_FAILED_STARTS = 5
"""Starts in a row that may fail before no more are made; a process or node that died does not count."""
IN_CONSTRUCTOR = "creation task"
"""What Ray says of an actor whose constructor raised, and not of one that died."""
START_S = 180.0
"""Seconds to wait for a worker where none is left: a node restarts, or is replaced by another."""
PATIENT_S = 20.0
"""Seconds of that before a line says so."""
SETTINGS = ("HUBEL_CACHE", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_OFFLINE")
"""Variables that workers take over from this process, unless their node sets them."""
JOIN_S = 5.0
"""Seconds for threads to end after their workers were killed."""


class RayEngine:
    """An `Engine` on a cluster. Made by `start`.

    Args:
        ray: the module, connected.
        expected: the versions that workers must have.
        most_deaths: workers that may die at one piece.
        own_head: whether this process started the cluster.
    """

    def __init__(
        self,
        ray: Any,
        size: WorkerSize,
        order: WorkerOrder,
        expected: dict[str, str],
        say: Callable[[str], None],
        most_deaths: int,
        own_head: bool,
    ) -> None:
        self._most_deaths = most_deaths
        self._ray, self._size, self._order, self._expected = ray, size, order, expected
        self._say, self._head = say, Head(ray, own_head)
        self._dead = (
            ray.exceptions.RayActorError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.ObjectLostError,
            ray.exceptions.OutOfMemoryError,
        )
        self._change = threading.Condition()
        self._idle: deque[LivingWorker] = deque()
        self._alive: dict[str, LivingWorker] = {}
        self._starting: dict[int, Any] = {}
        self._failed_starts, self._deaths, self._started = 0, 0, 0
        self._last_failure, self._closed, self._said_waiting = "", False, False
        self._threads: list[threading.Thread] = []
        for _ in range(size.workers):
            self._start_worker()

    @classmethod
    def start(
        cls,
        choice: EngineChoice,
        shared: Path,
        say: Callable[[str], None],
        most_deaths: int = MOST_DEATHS,
    ) -> RayEngine:
        """Connect, and start the workers; returns when the first one is ready. Raises as `connect`.

        Args:
            most_deaths: workers that may die at one piece before it is given up.
        """
        ray = connect(choice.address, choice.workers)
        probe = shared.absolute() / f".probe-{secrets.token_hex(8)}"
        try:
            size = worker_size(cluster_size(ray), choice.workers)
            with writing(shared):
                shared.mkdir(parents=True, exist_ok=True)
                probe.write_bytes(b"seen")
            settings = {name: os.environ[name] for name in SETTINGS if name in os.environ}
            order = WorkerOrder(probe, settings, Path.cwd())
            engine = cls(ray, size, order, versions_here(), say, most_deaths, not choice.address)
            try:
                engine._give_back(engine._take())
            except BaseException:
                engine.close()
                raise
        except BaseException as error:
            probe.unlink(missing_ok=True)
            if not isinstance(error, LostHead):  # Ray would wait for it
                ray.shutdown()
            raise
        return engine

    @property
    def workers(self) -> int:
        """As `Engine.workers`."""
        return self._size.workers

    @property
    def note(self) -> str:
        """As `Engine.note`."""
        with self._change:
            nodes, alive = {slot.node for slot in self._alive.values()}, len(self._alive)
            deaths = self._deaths
        parts = [f"{_count(alive, 'worker')} on {_count(len(nodes), 'node')}"]
        if deaths:
            parts.append(f"{_count(deaths, 'worker')} died")
        return ", ".join(parts)

    def run(self, pieces: Iterable[Piece]) -> Iterator[PieceOutcome]:
        """As `Engine.run`."""
        feed = PieceFeed(pieces)
        ended: queue.Queue[PieceOutcome | BaseException | None] = queue.Queue()
        for _ in range(self._size.workers):
            self._thread(self._work_off, feed, ended)
        left = self._size.workers
        try:
            while left:
                item = ended.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    left -= 1
                else:
                    yield item
        finally:
            feed.stop()

    def call(self, request: SmallCall) -> Any:
        """As `Engine.call`."""
        return self._on_a_worker(request, type(request).__name__).value

    def await_all(self) -> None:
        """Wait until no worker is starting any more, at most `START_S` seconds."""
        end = time.monotonic() + START_S
        with self._change:
            while self._starting and time.monotonic() < end:
                self._change.wait(1.0)

    def call_each(self, request: SmallCall) -> dict[str, Any]:
        """The answer of each worker that is there, by where it is; for a cluster without work."""
        asked = {slot.where: slot.actor.work.remote(request) for slot in self.living()}
        return {where: self._ray.get(answer).value for where, answer in asked.items()}

    @property
    def deaths(self) -> int:
        """Workers that died at work."""
        return self._deaths

    def living(self) -> list[LivingWorker]:
        """The workers that are ready or at work, of this moment."""
        with self._change:
            return list(self._alive.values())

    def kill(self, worker: LivingWorker) -> None:
        """Let a worker die, as a soak does; it is replaced when that is noticed."""
        self._ray.kill(worker.actor)

    def close(self) -> None:
        """As `Engine.close`."""
        with self._change:
            self._closed = True
            actors = [slot.actor for slot in self._alive.values()] + [
                actor for actor in self._starting.values() if actor
            ]
            self._change.notify_all()
        if self._head.lost:
            self._order.probe.unlink(missing_ok=True)
            return
        for actor in actors:
            self._ray.kill(actor)
        end = time.monotonic() + JOIN_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._order.probe.unlink(missing_ok=True)
        self._ray.shutdown()

    def _work_off(self, feed: PieceFeed, ended: queue.Queue[Any]) -> None:
        """Draw pieces and do them, until there are none."""
        try:
            while (piece := feed.draw()) is not None:
                ended.put(self._outcome(piece))
        except BaseException as error:  # noqa: BLE001 - raised again where the outcomes are read
            ended.put(error)
        ended.put(None)

    def _outcome(self, piece: Piece) -> PieceOutcome:
        if piece.output.exists():
            return PieceOutcome(piece)
        started = time.monotonic()
        try:
            done = self._on_a_worker(piece, piece.title)
        except NoWorkerError:
            raise
        except _DeadlyRequest as error:
            return PieceOutcome(
                piece, str(error), time.monotonic() - started, "", self._most_deaths
            )
        except HubelError as error:
            return PieceOutcome(piece, str(error), time.monotonic() - started)
        return PieceOutcome(piece, "", time.monotonic() - started, done.where, done.deaths)

    def _on_a_worker(self, request: Any, title: str) -> _Done:
        """Have a request answered, by one worker after another while they die or are unfit."""
        deaths = 0
        while True:
            slot = self._take()
            try:
                answer = self._await(slot.actor.work.remote(request))
            except self._dead as error:
                self._bury(slot, one_line(error))
                deaths += 1
                if deaths >= self._most_deaths:
                    raise _DeadlyRequest(
                        f"{title}: {deaths} workers died at work on it, the last one {slot.where}; it "
                        "may need more memory than they have: give more or fewer workers, and start "
                        "the command again"
                    ) from error
                continue
            except BaseException:
                self._give_back(slot)
                raise
            if isinstance(answer.error, UnfitWorker):
                self._leave_out(slot, str(answer.error))
                continue
            self._give_back(slot)
            if answer.error is not None:
                raise answer.error
            return _Done(answer.value, slot.where, deaths)

    def _await(self, reference: Any) -> Any:
        """What a worker answers; raises LostHead as soon as that is so."""
        while True:
            try:
                return self._ray.get(reference, timeout=LOOK_S)
            except self._ray.exceptions.GetTimeoutError:
                self._head.require()

    def _take(self) -> LivingWorker:
        """A free worker, for which this waits."""
        with self._change:
            since = time.monotonic()
            while not self._idle:
                waited = time.monotonic() - since
                if self._closed:
                    raise Stopped
                if self._alive:
                    since = time.monotonic()
                elif not self._starting:
                    raise NoWorkerError(self._last_failure or "the cluster has no worker")
                elif waited > START_S:
                    raise NoWorkerError(
                        f"the cluster has had no worker for {START_S:.0f} s: start its nodes again, or let "
                        "other work on it end, and then start this command, which continues"
                    )
                elif waited > PATIENT_S and not self._said_waiting:
                    self._said_waiting = True
                    self._say("waiting for a worker: the nodes start slowly, are gone or busy")
                elif waited > LOOK_S:
                    self._head.require()
                self._change.wait(1.0)
            if self._closed:
                raise Stopped
            return self._idle.popleft()

    def _give_back(self, slot: LivingWorker) -> None:
        with self._change:
            if slot.where in self._alive:
                self._idle.append(slot)
            self._change.notify()

    def _bury(self, slot: LivingWorker, cause: str) -> None:
        """Replace a worker that died."""
        with self._change:
            self._alive.pop(slot.where, None)
            self._deaths += 1
            closed = self._closed
        if not closed:
            self._head.require()
            self._say(f"{slot.where} died ({cause}); another one takes its work")
            self._ray.kill(slot.actor)  # it may only be out of reach
            self._start_worker()

    def _leave_out(self, slot: LivingWorker, line: str) -> None:
        """Do without a worker that another one of the same node would not be better than."""
        self._say(f"left out: {line}")
        with self._change:
            self._alive.pop(slot.where, None)
            self._last_failure = line
            self._change.notify_all()
        self._ray.kill(slot.actor)

    def _start_worker(self) -> None:
        with self._change:
            if self._closed:
                return
            self._started += 1
            number = self._started
            self._starting[number] = None  # so that nobody sees no worker in between
        needs: Any = {"num_cpus": self._size.cpus, "num_gpus": self._size.gpus}
        needs |= {"scheduling_strategy": "SPREAD", "max_restarts": 0, "max_task_retries": 0}
        make = self._ray.remote(RayWorker).options(**needs)
        actor = make.remote(self._order)  # not under the lock: it waits for a head that is gone
        with self._change:
            self._starting[number] = actor
            closed = self._closed
        if closed:
            self._ray.kill(actor)
            return
        self._thread(self._await_start, number)

    def _await_start(self, number: int) -> None:
        """Check a worker as soon as it is there, and give it work or leave it out."""
        actor = self._starting[number]
        again, failed, failure, slot = False, False, "", None
        try:
            report = self._ray.get(actor.report.remote())
            check_report(report, self._expected, self._order.probe.parent)
            slot = LivingWorker(actor, report.where, report.node, report.pid)
        except UnfitWorker as error:
            failure = str(error)
        except self._ray.exceptions.RayError as error:
            failure = f"a worker of the cluster did not start: {one_line(error)}"
            died = isinstance(error, self._dead) and IN_CONSTRUCTOR not in str(error)
            failed, again = not died, True
        with self._change:
            del self._starting[number]
            if slot is not None:
                self._failed_starts = 0
                self._alive[slot.where] = slot
                self._idle.append(slot)
            elif not self._closed:
                self._failed_starts += failed
                self._last_failure = failure
                again = again and self._failed_starts < MOST_FAILED_STARTS
            if again and not self._closed:
                self._starting[-number] = actor  # so that nobody sees no worker in between
            self._change.notify_all()
        if slot is None and not self._closed:
            if again:
                self._start_worker()
                with self._change:
                    self._starting.pop(-number, None)
            else:
                self._say(f"left out: {failure}")
                self._ray.kill(actor)

    def _thread(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()


class _DeadlyRequest(UnavailableError):
    """Too many workers died at it: it is given up, and the others go on."""


class _Done(NamedTuple):
    value: Any
    where: str
    deaths: int


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
