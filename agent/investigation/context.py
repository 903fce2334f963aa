"""What the steps of an investigation work with: one context per run, shared by all its threads.

    journal       what was computed or paid for once (`runlog.journal`)
    instruments   instrument calls, journaled (`instrument_desk`)
    data          the targets' activations on explore and select (`split_data`)
    judges        the language models that score sentences (`llm.sentence_judges`)

Nothing in here can read holdout; `verify` can.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.subject.address import Unit
from ..llm.sentence_judges import SentenceJudges
from ..runlog.bottleneck import WaitTimes
from ..runlog.config import target_seed
from ..runlog.journal import Journal
from ..runlog.phases import RunClock
from ..runlog.stopping import Stopped
from .instrument_desk import InstrumentDesk
from .null_instruments import NullInstruments

if TYPE_CHECKING:
    from ...tools.instruments import InstrumentContext
    from ..runlog.config import RunConfig
    from ..runlog.log import RunLog
    from .split_data import SplitData


class InvestigationContext:
    """Everything that the investigations of one run share.

    Args:
        folder: the run's folder.
        instrument_context: the subject and the index; None in a replay.
        judges: score sentences; None in a replay, where their answers are in the journal.
        stopped: set when the run is asked to stop.
        clock: adds up the time that steps take.
        say: shows a line above the progress of the run.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        log: RunLog,
        *,
        data: SplitData,
        instrument_context: InstrumentContext | None = None,
        judges: SentenceJudges | None = None,
        stopped: threading.Event | None = None,
        clock: RunClock | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.folder, self.config, self.log = folder, config, log
        self.data = data
        self.journal = Journal(log)
        self.waits = WaitTimes()
        self.clock = clock or RunClock()
        nulls = None
        if config.nulls and instrument_context is not None:
            nulls = NullInstruments(config, instrument_context, data)
        self.instruments = InstrumentDesk(self.journal, instrument_context, nulls, self.waits)
        self.judges = judges or SentenceJudges(config, log, {}, None)
        self.stopped = stopped or threading.Event()
        self.say = say
        self._steps: dict[str, str] = {}
        self._waiting: set[str] = set()
        self.started: set[str] = set()
        """Targets whose investigation this process has started or continued."""
        self._first = threading.Lock()  # held for good by the first hypothesis of the run
        self.budget_reached = ""
        """Which limit was reached, if any."""
        self.units = {target: Unit.parse(target) for target in config.targets}
        """The run's targets by address. Parsed here and nowhere else in the loop."""

    def raise_if_stopped(self) -> None:
        """Raise `Stopped` if the run was asked to stop. Called between steps, so none is cut short."""
        if self.stopped.is_set():
            raise Stopped

    def enter_step(self, target: str, step: str) -> None:
        """Remember where an investigation is; "" when it has ended or stopped."""
        self._steps[target] = step

    def wait_for_batch(self, *targets: str) -> None:
        """Put targets aside until a batch of answers has come."""
        self._waiting.update(targets)

    def take_waiting(self) -> set[str]:
        """The targets that were put aside; none is aside any more."""
        taken, self._waiting = self._waiting, set()
        return taken

    def steps(self) -> str:
        """Where the investigations are: "7 propose, 1 verify"."""
        counts = Counter(step for step in list(self._steps.values()) if step)
        return ", ".join(f"{n} {step}" for step, n in counts.most_common())

    def show_first(self, target: str, sentence: str) -> None:
        """Say the first hypothesis of the run, long before anything is known of how good it is."""
        if self._first.acquire(blocking=False):
            self.say(f"{target}, first hypothesis, not yet tested: {sentence}")

    def is_null(self, unit: Unit) -> bool:
        """Whether a target is artificial: a null or a control, not a unit of the subject."""
        return str(unit) in self.config.nulls

    def seed(self, unit: Unit) -> int:
        """The seed of everything random about a target."""
        return target_seed(self.config.seed, str(unit))
