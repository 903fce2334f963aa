"""What an MCP server answers, without the protocol (`server` has that).

Instruments are called by their tool names, one at a time; resources describe the index, and give a
unit's statistics and exemplars. With a log, each call is an event.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from ...tools.errors import ArgumentError, HubelError

if TYPE_CHECKING:
    from ...tools.instruments import InstrumentContext
    from ..runlog.log import RunLog

INDEX, UNIT = "hubel://index", "hubel://unit/{address}"


class CallAnswer(NamedTuple):
    """The answer to a call: text for a reader, the same as JSON, and whether it is an error."""

    text: str
    result: dict[str, Any] | None
    error: bool


@dataclass
class InstrumentDispatcher:
    """Answers calls, one at a time, and logs them if there is a log."""

    bench: InstrumentContext
    log: RunLog | None = None
    _lock: Lock = field(default_factory=Lock)

    def call(self, name: str, arguments: Mapping[str, Any]) -> CallAnswer:
        """The answer of an instrument, by its tool name. An invalid call returns its error message as the answer."""
        from ...tools import instruments

        with self._lock:
            started = time.perf_counter()
            by_tool_name = {tool_name(full): full for full in instruments.instruments()}
            instrument = by_tool_name.get(name, name)
            try:
                result = instruments.call(instrument, arguments, self.bench)
                answer = CallAnswer(result.render(), result.to_json(), False)
            except HubelError as error:
                answer = CallAnswer(str(error), None, True)
            self._write(instrument, arguments, answer, time.perf_counter() - started)
        return answer

    def _write(
        self, instrument: str, arguments: Mapping[str, Any], answer: CallAnswer, seconds: float
    ) -> None:
        if self.log is None:
            return
        number = len(self.log.all("call", None)) + 1
        data = {
            "request": {"instrument": instrument, "arguments": dict(arguments), "rendered": True},
            "answer": {"result": answer.result, "text": answer.text, "error": answer.error},
            "seconds": round(seconds, 4),
        }
        self.log.write("call", data, id=str(number))

    def resource(self, uri: str) -> str:
        """The text of the resource at a URI.

        Raises:
            ArgumentError: there is no resource of that address.
        """
        if uri == INDEX:
            return json.dumps(describe_index(self.bench), indent=2, ensure_ascii=False)
        prefix = UNIT.partition("{")[0]
        if uri.startswith(prefix):
            return self._unit(uri.removeprefix(prefix))
        raise ArgumentError(f"no resource {uri!r}; there are {INDEX} and {UNIT}")

    def _unit(self, address: str) -> str:
        calls = [("activations_statistics", {"unit": address.rstrip("+-")})]
        calls += [
            ("activations_exemplars", {"unit": address.rstrip("+-"), "side": side, "k": 5})
            for side in "+-"
        ]
        answers = [self.call(*call) for call in calls]
        for answer in answers:
            if answer.error:
                raise ArgumentError(answer.text)
        return "\n".join(answer.text for answer in answers)


def tool_name(instrument: str) -> str:
    """An instrument's name as clients take it: letters, digits and underscores."""
    return instrument.replace(".", "_")


def describe_index(bench: InstrumentContext) -> dict[str, Any]:
    """What an index is made of, without anything about held-out text."""
    index = bench.require_index()
    shape = index.shape
    return {
        "subject": {
            "name": index.subject_name,
            "title": index.subject_title,
            "revision": index.subject_revision,
        },
        "layers": shape.n_layers,
        "neurons_a_layer": shape.n_neurons,
        "heads_a_layer": shape.n_heads,
        "directions": {str(layer): list(names) for layer, names in shape.directions.items()},
        "sites": sorted({site.kind for site in index.sites}),
        "corpus": {"name": index.corpus_name, "title": index.corpus_title},
        "context_length": index.context_len,
        "contexts": {split: index.n_contexts[split] for split in ("explore", "select")},
    }
