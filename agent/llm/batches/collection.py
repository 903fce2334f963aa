"""Wait for batches, and write their answers to the journal.

1. The provider is asked how far each batch is, with pauses that grow to LONGEST_POLL_S. Batches are
   read one by one as they end, so that the wait for a slow one loses nothing.
2. A result is matched to its question by its custom id. Ids of other batches are ignored, and so is
   a second result for the same question.
3. An answer is written under the same key as one that came by itself: first what it took
   (`llm_request`), then the answer (`llm_call`). A process that is killed in between reads the
   results again, which is free.
4. A question without an answer (an error, expired, cancelled, no result at all) has failed, and can
   be asked again. An error costs nothing, and neither does what never ran; a result that is missing
   may have been billed, and counts as the largest cost.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ...runlog.events import LLM_BATCH_STATE, LLM_CALL
from ..errors import ModelError, Rejected
from .service import NO_SUCH_API, BatchStatus, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...runlog.log import RunLog
    from ...runlog.progress import Reporter
    from ..errors import Fate
    from .patient_calls import PatientCaller
    from .service import BatchResult
    from .submission import BatchItem, OpenBatch

LONGEST_POLL_S = 60.0
"""Most batches end within an hour; nobody waits for the last minute of it."""
OUTAGE = 36
"""Times the patience (6 hours by default) that a look at a batch may fail: who waits for a day meets
outages, a closed laptop among them."""
READS = 3
"""How often results are read that are fewer than the batch says, before the others count as missing."""
QUEUE_FULL = "token_limit_exceeded"
"""OpenAI's word for a batch that does not fit in the account's queue while others are in it."""
READ = "read"
"""State of a batch whose results were read."""
Failures = dict[tuple[str, str], str]
"""Target and key of a question, to why it has no answer."""


class BatchCollector:
    """Collects the results of a run's batches."""

    def __init__(self, log: RunLog, caller: PatientCaller, reporter: Reporter) -> None:
        self._log, self._caller, self._reporter = log, caller, reporter

    def collect(self, batches: Sequence[OpenBatch]) -> Failures:
        """Wait until all batches have ended; returns the questions that have no answer."""
        failures: Failures = {}
        statuses: dict[str, BatchStatus] = {}
        pause = self._caller.first_pause_s
        while True:
            for batch in batches:
                before = statuses.get(batch.name)
                if before is not None and before.ended:
                    continue
                statuses[batch.name] = status = self._status(batch)
                if status.ended:
                    failures |= self._read(batch, status, alone=len(batches) == 1)
                    self._log.write(LLM_BATCH_STATE, {"state": READ, "id": batch.id}, id=batch.name)
            self._show(batches, statuses)
            if all(status.ended for status in statuses.values()):
                break
            self._caller.wait(pause)
            pause = min(1.5 * pause, LONGEST_POLL_S)
        self._say_failures(failures, sum(len(batch.items) for batch in batches))
        return failures

    def _status(self, batch: OpenBatch) -> BatchStatus:
        try:
            return self._caller.call(lambda: batch.service.status(batch.id), OUTAGE)
        except Rejected as error:
            if error.status not in NO_SUCH_API:
                raise
            raise UsageError(
                f"there is no batch {batch.id} at {batch.service.where} under this key: use the key "
                "with which it was submitted, so that its answers are not paid for again"
            ) from error

    def _read(self, batch: OpenBatch, status: BatchStatus, *, alone: bool) -> Failures:
        """Write the results of a batch that has ended; returns the questions without an answer."""
        if status.why:
            return self._refused(batch, status, alone=alone)
        results = self._results(batch, status)
        failures: Failures = {}
        left, strangers = dict(batch.items), 0
        for result in results:
            place = place_of(batch.name, result.custom_id)
            strangers += place is None
            item = left.pop(place, None) if place is not None else None
            if item is not None and (why := self._write(batch, item, result)):
                failures[item.wanted.name] = why
        missing = f"batch {batch.id} is {status.word}, and has no result for this request"
        if strangers == len(results) > 0:
            missing = f"batch {batch.id} holds results of other requests only"
        for item in left.values():
            failures[item.wanted.name] = self._failed(item, missing, "broken")
        return failures

    def _results(self, batch: OpenBatch, status: BatchStatus) -> list[BatchResult]:
        """All results; read again if there are fewer than the batch says."""
        results: list[BatchResult] = []
        for _ in range(READS):
            results = self._caller.call(lambda: batch.service.results(batch.id, status), OUTAGE)
            if len(results) >= status.done + status.failed:
                break
            self._caller.wait(self._caller.first_pause_s)
        return results

    def _refused(self, batch: OpenBatch, status: BatchStatus, *, alone: bool) -> Failures:
        """A batch that the provider did not run: its questions failed, or wait for a place in the queue."""
        why = f"the provider refused the batch: {status.why}"
        failures = {
            item.wanted.name: self._failed(item, why, "unsent") for item in batch.items.values()
        }
        return failures if alone or QUEUE_FULL not in status.why else {}

    def _write(self, batch: OpenBatch, item: BatchItem, result: BatchResult) -> str:
        """Write what one request took, and its answer; why there is none, or ""."""
        if result.body is None:
            return self._failed(
                item, f"batch {batch.id}: {result.error}", "refused" if result.ran else "unsent"
            )
        wanted = item.wanted
        try:
            reply = wanted.service.connection.read(result.body, wanted.request)
        except ModelError as error:
            item.counted.failed(error)
            return f"batch {batch.id}: {error}"
        if not item.settled:
            item.counted.answered(reply)
        row = wanted.row(reply) | {"seconds": 0.0, "batch": batch.name}
        self._log.write(LLM_CALL, row, target=wanted.payer.target, id=wanted.payer.key)
        return ""

    def _failed(self, item: BatchItem, why: str, fate: Fate) -> str:
        error = ModelError(why)
        error.fate = fate
        item.counted.failed(error)
        return why

    def _show(self, batches: Sequence[OpenBatch], statuses: dict[str, BatchStatus]) -> None:
        """Say how far the batches are: "batch 3 of 5: 412 of 1,000 done, 2 failed"."""
        wanted = sum(len(batch.items) for batch in batches)
        done = sum(min(s.done + s.failed, s.total) for s in statuses.values())
        running = [n for n, b in enumerate(batches, 1) if not statuses[b.name].ended]
        note = ""
        if running:
            status = statuses[batches[running[0] - 1].name]
            failed = f", {status.failed:,} failed" if status.failed else ""
            note = (
                f"batch {running[0]} of {len(batches)}: {status.done:,} of {status.total:,} done"
                f"{failed}"
            )
        self._reporter.update("batches", min(done, wanted), wanted, unit="answers", note=note)

    def _say_failures(self, failures: Failures, wanted: int) -> None:
        for why, count in Counter(failures.values()).most_common(3):
            self._reporter.say(f"{count:,} of {wanted:,} answers failed: {why}")
