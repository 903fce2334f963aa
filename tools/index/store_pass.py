"""The pass that adds an activation store to an index that has none.

It reads the batches of each split as the index's own pass does, and stops and resumes as that does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..corpus import Contexts, Split
from ..subject.subject import Subject
from .activation_store.folder import StoreFolder
from .batch_plan import BatchPlan, make_plan
from .checkpoint import Checkpoints
from .pass_clock import PassClock
from .shards.shard import WHOLE, Shard


@dataclass
class StorePass:
    """Writes the stores of the splits that have none.

    Attributes:
        report: called after each batch with the tokens that have been read, and with all of them.
        checkpoint_every: batches between two checkpoints; by default by the clock.
    """

    subject: Subject
    contexts: Contexts
    stores: StoreFolder
    report: Callable[[int, int], None]
    checkpoint_every: int | None = None
    shard: Shard = WHOLE

    def run(self) -> None:
        """Read what is missing; the stores are complete afterwards, or given up."""
        missing = self.stores.missing()
        plans = [self._plan(split) for split in missing]
        self._total, self._done = sum(plan.tokens_before(plan.n_turns) for plan in plans), 0
        for split in missing:
            self._read_split(split)
        self.stores.close()

    def _read_split(self, split: Split) -> None:
        plan = self._plan(split)
        checkpoints = Checkpoints(self.stores.work / split, self.checkpoint_every)
        batches, stored, _ = checkpoints.load([], PassClock())
        recorder = self.stores.recorder(split)
        if recorder and not recorder.resume(stored, plan.tokens_before(batches)):
            checkpoints.delete()
            batches, recorder = 0, self.stores.recorder(split)
        if recorder is None:  # the stores were given up
            return
        self._report(plan.tokens_before(batches))
        for batch in plan.batches(batches):
            ids = torch.from_numpy(batch.tokens.astype(np.int64)).to(self.subject.device)
            recorder.begin(batch, ids)
            self.subject.stream(ids, recorder.sites, recorder.take)
            if recorder.active and checkpoints.due() and batch.turn + 1 < plan.n_turns:
                with recorder.room():
                    checkpoints.save([], PassClock(), batch.turn + 1, recorder.checkpoint())
            if not recorder.active:
                return
            self._report(batch.n_tokens)
        recorder.finish()

    def _plan(self, split: Split) -> BatchPlan:
        return make_plan(self.contexts, split, pool=0, sample=0, seed=0).of(self.shard)

    def _report(self, tokens: int) -> None:
        self._done += tokens
        self.report(self._done, self._total)
