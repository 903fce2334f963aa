"""One batch from its first event to the provider's id, so that it is paid for once whenever we are killed.

1. Each request is reserved in the budget and written as an `llm_request` in flight, with the batch's
   name and its place in it. The event `llm_batch` says how many there are.
2. The requests are uploaded, where the provider takes a file. That runs nothing and costs nothing.
3. The state *sending* is written, the batch is created, and the state *submitted* is written with
   the provider's id.

A later process that finds no state knows that nothing was sent. If it finds *sending*, the batch may
exist. It looks for it by name (`BatchService.find`), for GRACE_S after it was sent, since a server
may still be creating it; only then are its requests free to be sent again. The same is done at once
after an answer of which it is not known whether the batch was created.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ....tools.errors import BudgetReached, UsageError
from ...runlog.events import LLM_BATCH, LLM_BATCH_STATE, LLM_REQUEST
from ..errors import Busy, ModelError, Rejected
from ..meter import BatchPlace, journal_meter
from ..retry import LONGEST_OWN_PAUSE_S
from .service import SentBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...runlog.log import Data, RunLog
    from ..budget import Budget
    from ..conversation import Reply, Request
    from ..meter import CountedRequest, Payer
    from .patient_calls import PatientCaller
    from .service import BatchService

GRACE_S = 60.0
"""How long after it was sent a batch may still appear at the provider. A shorter patience shortens it."""

NOT_CREATED = (429, 529)
"""HTTP states of a busy server that has created nothing."""

SENDING, SUBMITTED = "sending", "submitted"
"""States of a batch whose answers may be paid for, and have not been read."""


@dataclass(frozen=True)
class Wanted:
    """A question whose answer will come in a batch.

    Attributes:
        row: makes the row of the journal from a reply.
    """

    payer: Payer
    request: Request
    service: BatchService
    row: Callable[[Reply], Data]

    @property
    def name(self) -> tuple[str, str]:
        """Target and key of the answer."""
        return self.payer.target, self.payer.key


@dataclass(frozen=True)
class BatchItem:
    """A question in a batch.

    Attributes:
        counted: the request, as the log and the budget have it.
        settled: whether an earlier process has written what it took, but not its answer.
    """

    wanted: Wanted
    counted: CountedRequest
    settled: bool = False


@dataclass
class OpenBatch:
    """A batch whose results have not been read, with those of its questions that are wanted now."""

    name: str
    service: BatchService
    items: dict[int, BatchItem] = field(default_factory=dict)
    id: str = ""
    """The provider's; "" before it is known."""


class BatchSubmitter:
    """Submits batches of one run, and finds those that an earlier process submitted."""

    def __init__(self, log: RunLog, budget: Budget | None, caller: PatientCaller) -> None:
        self._log, self._budget, self._caller = log, budget, caller
        self.refusal: BudgetReached | None = None
        """Why the budget admitted no more, if it did not."""

    def submit(self, wanted: Sequence[Wanted], share: float) -> OpenBatch | None:
        """Submit a batch of questions to one service; None if the budget admits none of them.

        Args:
            share: of the usual price, for the log.
        """
        batch = OpenBatch(secrets.token_hex(8), wanted[0].service)
        for one in wanted:
            place = BatchPlace(batch.name, len(batch.items))
            meter = journal_meter(self._log, self._budget, one.payer)
            most = one.service.connection.most_output(one.request)
            try:
                counted = meter.reserve(one.request, most, place)
            except BudgetReached as reached:
                self.refusal = reached
                continue
            batch.items[place.place] = BatchItem(one, counted)
        if not batch.items:
            return None
        about = {
            "place": list(batch.service.connection.place),
            "count": len(batch.items),
            "share": share,
        }
        self._log.write(LLM_BATCH, about, id=batch.name)
        self._send(batch)
        return batch

    def reopen(self, wanted: Wanted, batches: dict[str, OpenBatch]) -> bool:
        """Add a question to the batch that it was sent in; False if it is in none.

        Args:
            batches: by name; the question's is added.
        """
        row = self._last_request(wanted)
        if row is None or "batch" not in row or row["outcome"] not in ("in flight", "answered"):
            return False
        name = row["batch"]
        if name not in batches:
            state = self._log.get(LLM_BATCH_STATE, id=name) or {}
            batches[name] = OpenBatch(name, wanted.service, id=state.get("id", ""))
        meter = journal_meter(self._log, self._budget, wanted.payer)
        most = wanted.service.connection.most_output(wanted.request)
        counted = meter.reopen(wanted.request, most, row)
        item = BatchItem(wanted, counted, settled=row["outcome"] == "answered")
        batches[name].items[row["place"]] = item
        return True

    def find(self, batch: OpenBatch) -> bool:
        """Find the provider's id of a batch that may have been created; False if it never was."""
        state = self._log.get(LLM_BATCH_STATE, id=batch.name) or {}
        if state and (id := self._look_for(batch, state)):
            self._submitted(batch, id)
            return True
        self._drop(batch, "the batch was never created")
        return False

    def _send(self, batch: OpenBatch) -> None:
        """Upload and create a batch."""
        service, requests = batch.service, [item.wanted.request for item in batch.items.values()]
        try:
            file = self._caller.call(lambda: service.upload(batch.name, requests))
            id = self._create(batch, requests, file)
        except Rejected as error:
            self._drop(batch, str(error))
            raise UsageError(f"the batch was refused, and costs nothing: {error}") from error
        self._submitted(batch, id)

    def _create(self, batch: OpenBatch, requests: Sequence[Request], file: str) -> str:
        """Create a batch once, however often it has to be tried; its id."""
        pause, started = self._caller.first_pause_s, time.monotonic()
        while True:
            state = {"state": SENDING, "file": file, "at": time.time()}
            self._log.write(LLM_BATCH_STATE, state, id=batch.name)
            try:
                if id := batch.service.create(batch.name, requests, file):
                    return id
                raise ModelError(f"{batch.service.where} created a batch without an id")
            except Rejected:
                raise
            except ModelError as error:
                may_exist = error.fate != "unsent" and error.status not in NOT_CREATED
                if may_exist and (id := self._look_for(batch, state)):
                    return id
                asked = error.pause_s if isinstance(error, Busy) else None
                if time.monotonic() - started > self._caller.patience.limit_s:
                    raise
                self._caller.wait(pause if asked is None else asked)
                pause = min(2 * pause, LONGEST_OWN_PAUSE_S)

    def _look_for(self, batch: OpenBatch, state: Data) -> str:
        """The id of a batch that may have been created; "" once it is certain that it was not."""
        grace = min(GRACE_S, self._caller.patience.limit_s)
        states = self._log.all(LLM_BATCH_STATE).values()
        others = frozenset(row["id"] for row in states if row.get("id"))
        about = self._log.get(LLM_BATCH, id=batch.name) or {}
        sent = SentBatch(
            batch.name, about.get("count", len(batch.items)), state["at"], state["file"], others
        )
        pause = self._caller.first_pause_s
        while True:
            sought = self._caller.call(lambda: batch.service.find(sent))
            if sought.id:
                return sought.id
            waited = abs(time.time() - state["at"])  # a clock that was set back: look once more
            if not sought.maybe_running and waited >= grace:
                return ""
            self._caller.wait(pause if sought.maybe_running else min(pause, grace - waited))
            pause = min(2 * pause, LONGEST_OWN_PAUSE_S)

    def _submitted(self, batch: OpenBatch, id: str) -> None:
        batch.id = id
        self._log.write(LLM_BATCH_STATE, {"state": SUBMITTED, "id": id}, id=batch.name)

    def _drop(self, batch: OpenBatch, why: str) -> None:
        """Free what was reserved for a batch that costs nothing."""
        error = ModelError(why)
        error.fate = "unsent"
        for item in batch.items.values():
            item.counted.failed(error)
        self._log.write(LLM_BATCH_STATE, {"state": why}, id=batch.name)

    def _last_request(self, wanted: Wanted) -> Data | None:
        """The last request for an answer that the log has."""
        target, key = wanted.name
        rows = self._log.all(LLM_REQUEST, target or None).values()
        return next((row for row in reversed(list(rows)) if row["key"] == key), None)


def refuse_open_batches(log: RunLog) -> None:
    """Raise UsageError if answers are in a batch that nobody has read yet: they would be paid for again."""
    states = log.all(LLM_BATCH_STATE)
    names = [name for name, row in states.items() if row["state"] in (SENDING, SUBMITTED)]
    if names:
        count = sum((log.get(LLM_BATCH, id=name) or {}).get("count", 0) for name in names)
        ids = ", ".join(str(states[name].get("id") or "not known") for name in names[:3])
        raise UsageError(
            f"{count:,} requests are in batches that were submitted before ({ids}) and may be paid for "
            "already: repeat the command with --batch, which collects their answers"
        )
