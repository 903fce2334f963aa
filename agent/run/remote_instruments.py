"""Instruments that run on the workers of an engine, for investigations that ask language models.

The loop, the journal, the budget and the connections stay in the process that holds the run. A call
takes an address, a name and arguments to whichever worker is free, and leaves nothing there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...tools.instruments import Result
from ...tools.subject.address import Unit
from ..runlog.log import canonical
from .worker_run import RunInputs, open_worker_run

if TYPE_CHECKING:
    from ..engine import Engine, Worker
    from ..runlog.log import Data, RunLog


@dataclass(frozen=True)
class InstrumentCall:
    """One call of an instrument; `arguments` are JSON."""

    run_inputs: RunInputs
    target: str
    name: str
    arguments: str

    def run(self, worker: Worker) -> dict[str, Any]:
        """The instrument's `{result, text}`; raises ArgumentError when the call is invalid."""
        desk = open_worker_run(self.run_inputs, worker).instruments
        result = desk.run(Unit.parse(self.target), self.name, json.loads(self.arguments))
        return {"result": result.to_json(), "text": result.render()}


class RemoteInstruments:
    """Calls instruments on an engine's workers, side by side.

    Args:
        log: of the run, whose first part is collected.
    """

    def __init__(self, engine: Engine, log: RunLog) -> None:
        self._engine, self._inputs = engine, RunInputs.of(log)

    def call(self, unit: Unit, name: str, arguments: Data) -> Result:
        """An instrument's result; raises ArgumentError when the call is invalid."""
        call = InstrumentCall(self._inputs, str(unit), name, canonical(arguments))
        return ReturnedResult(**self._engine.call(call))

    @property
    def side_by_side(self) -> int:
        """How many calls run at once."""
        return self._engine.workers


class ReturnedResult(Result):
    """A result that was computed in another process."""

    def __init__(self, result: dict[str, Any], text: str) -> None:
        self._result, self._text = result, text

    def render(self) -> str:
        """The text for an explainer."""
        return self._text

    def to_json(self) -> dict[str, Any]:
        """All of it, as plain JSON values."""
        return self._result
