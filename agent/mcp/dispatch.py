"""What an MCP server answers, without the protocol (`server` has that).

Instruments are called by their tool names, one at a time; resources describe the index, and give a
unit's statistics and exemplars. With a log, each call is an event.

A client may give up a call. If it still waits for its turn, it is dropped; if it runs, it ends before
the subject's next forward pass, which every longer instrument makes many of.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from ...tools.errors import ArgumentError, HubelError
from ...tools.files.untrusted_text import printable, whole_characters
from ..llm.reply_limits import bounded_json

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from ...tools.instruments import InstrumentContext
    from ...tools.subject import Subject
    from ..runlog.log import RunLog

INDEX, UNIT = "hubel://index", "hubel://unit/{address}"
MAX_LOGGED = 5_000_000
"""Characters of arguments that are logged; those that instruments accept have less than half."""


class CallGivenUp(Exception):
    """The client has given up the call that runs."""


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
    _given_up: Event = field(default_factory=Event)
    """Of the call that runs."""
    _watch: RemovableHandle | None = None
    """The hook on the subject, while a call runs it."""

    def __post_init__(self) -> None:
        self._context = replace(self.bench, subject=self._subject if self.bench.subject else None)

    def call(
        self, name: str, arguments: Mapping[str, Any], given_up: Event | None = None
    ) -> CallAnswer:
        """The answer of an instrument, by its tool name. An invalid call returns its error message as the answer.

        Args:
            given_up: is set when the client gives up the call.
        """
        from ...tools import instruments

        with self._lock:
            self._given_up = given_up or Event()
            started = time.perf_counter()
            by_tool_name = {tool_name(full): full for full in instruments.instruments()}
            instrument = by_tool_name.get(name, name)
            try:
                self._check()
                if instrument not in by_tool_name.values():
                    listed = ", ".join(by_tool_name)
                    raise ArgumentError(f"no tool is called {name[:60]!r}; there are {listed}")
                result = instruments.call(instrument, arguments, self._context)
                answer = CallAnswer(result.render(), result.to_json(), False)
            except (HubelError, CallGivenUp) as error:
                answer = CallAnswer(printable(str(error)), None, True)
            finally:
                if self._watch is not None:
                    self._watch.remove()
                    self._watch = None
            self._write(instrument, arguments, answer, time.perf_counter() - started)
        return answer

    def _subject(self) -> Subject:
        """The subject, which ends this call before a forward pass if it was given up."""
        subject = self.bench.require_subject()
        if self._watch is None:
            self._watch = subject.model.register_forward_pre_hook(lambda *_: self._check())
        return subject

    def _check(self) -> None:
        if self._given_up.is_set():
            raise CallGivenUp("the client gave up this call")

    def _write(
        self, instrument: str, arguments: Mapping[str, Any], answer: CallAnswer, seconds: float
    ) -> None:
        if self.log is None:
            return
        number = len(self.log.all("call", None)) + 1
        plain = bounded_json(dict(arguments))
        if len(str(plain)) > MAX_LOGGED:
            plain = {"too_long": str(plain)[:MAX_LOGGED]}
        data = {
            "request": {
                "instrument": whole_characters(instrument)[:60],
                "arguments": plain,
                "rendered": True,
            },
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
    directions = {str(layer): list(names) for layer, names in shape.directions.items()}
    contexts = {split: index.n_contexts[split] for split in ("explore", "select")}
    return {
        "subject": {
            "name": index.subject_name,
            "title": index.subject_title,
            "revision": index.subject_revision,
        },
        "layers": shape.n_layers,
        "neurons_a_layer": shape.n_neurons,
        "heads_a_layer": shape.n_heads,
        "directions": directions,
        "sites": sorted({site.kind for site in index.sites}),
        "corpus": {"name": index.corpus_name, "title": index.corpus_title},
        "context_length": index.context_len,
        "contexts": contexts,
    }
