"""Where an investigation calls instruments: every result is journaled, and calls wait for their turn.

The subject runs one call at a time. Each call holds only the locks that its instrument needs, so
that looking something up in the index never waits for the subject. With an engine, calls that need
the subject go to its workers (`elsewhere`) and run side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ...tools import instruments
from ...tools.errors import ArgumentError, CorruptError
from ..runlog.log import canonical

if TYPE_CHECKING:
    from ...tools.subject.address import Unit
    from ..explainers.protocol import Call
    from ..runlog.bottleneck import WaitTimes
    from ..runlog.journal import Journal
    from ..runlog.log import Data
    from .null_instruments import NullInstruments

EVENT = "call"
MOST_AT_ONCE = 8
"""Calls of one reply that run side by side."""


class Elsewhere(Protocol):
    """Instruments in other processes."""

    @property
    def side_by_side(self) -> int:
        """How many calls run at once."""
        ...

    def call(self, unit: Unit, name: str, arguments: Data) -> instruments.Result:
        """An instrument's result; raises ArgumentError when the call is invalid."""
        ...


class InstrumentDesk:
    """Calls instruments for the investigations of one run. Safe to use from many threads.

    Args:
        journal: holds the results of earlier calls.
        context: the subject and the index; None in a replay, where every result is in the journal.
        nulls: answers for the run's artificial targets; None if it has none.
        waits: counts the time that calls take and wait.
    """

    def __init__(
        self,
        journal: Journal,
        context: instruments.InstrumentContext | None,
        nulls: NullInstruments | None,
        waits: WaitTimes,
    ) -> None:
        self._journal, self._context, self._nulls, self._waits = journal, context, nulls, waits
        self._subject_lock, self._index_lock = threading.Lock(), threading.Lock()
        self.elsewhere: Elsewhere | None = None
        """Where calls that run the subject are sent, if not made here."""

    def call(self, unit: Unit, name: str, arguments: Data) -> Data:
        """An instrument's result as JSON; raises ArgumentError when the call is invalid."""
        request = {"instrument": name, "arguments": arguments}
        return self._journal.answer(
            EVENT, str(unit), request, lambda: self.run(unit, name, arguments).to_json()
        )

    def call_for_model(self, unit: Unit, name: str, arguments: Data) -> Data:
        """An instrument's `{result, text, error}` for a language model.

        An invalid call returns its error message as the text.
        """

        def run() -> Data:
            try:
                result = self.run(unit, name, arguments)
            except ArgumentError as error:
                return {"result": None, "text": str(error), "error": True}
            return {"result": result.to_json(), "text": result.render(), "error": False}

        return self._journal.answer(EVENT, str(unit), _request_for_model(name, arguments), run)

    def call_all(self, unit: Unit, calls: Sequence[Call]) -> list[Data]:
        """`call_for_model` for several calls. They run side by side, but take turns with the subject."""

        def answer(call: Call) -> Data:
            return self.call_for_model(unit, call.instrument, dict(call.arguments))

        requests = [_request_for_model(call.instrument, call.arguments) for call in calls]
        fresh = sum(not self._journal.holds(EVENT, str(unit), request) for request in requests)
        if fresh < 2:  # a replay, for one, needs no threads
            return [answer(call) for call in calls]
        with ThreadPoolExecutor(max_workers=min(MOST_AT_ONCE, fresh)) as pool:
            return list(pool.map(answer, calls))

    def run(self, unit: Unit, name: str, arguments: Data) -> instruments.Result:
        """An instrument's result, which is not journaled; raises ArgumentError as `call` does."""
        if self._context is None:
            raise CorruptError(
                f"the journal holds no result of {name} {canonical(arguments)[:200]}: "
                "this log was changed or cut short"
            )
        is_null = self._nulls is not None and self._nulls.has(unit)
        needs = ("subject", "index") if is_null else instruments.get(name).needs
        if self.elsewhere is not None and "subject" in needs:
            with self._waits.measure("subject", self.elsewhere.side_by_side):
                return self.elsewhere.call(unit, name, arguments)
        if self._nulls is not None and is_null:
            with self._locked(needs):
                return self._nulls.call(unit, name, arguments)
        with self._locked(needs):
            return instruments.call(name, arguments, self._context)

    @contextmanager
    def _locked(self, needs: Sequence[instruments.Need]) -> Iterator[None]:
        with ExitStack() as stack:
            if "subject" in needs:
                stack.enter_context(self._waits.turn(self._subject_lock))
            if "index" in needs:
                stack.enter_context(self._index_lock)
            yield


def _request_for_model(name: str, arguments: Mapping[str, Any]) -> Data:
    """The request for a result with its text, which is journaled apart from the bare result."""
    return {"instrument": name, "arguments": arguments, "rendered": True}
