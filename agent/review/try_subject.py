"""Trying things on the subject: text through a target's unit, and any instrument by hand.

The subject is loaded when it is first needed, one at a time, and only by `hubel review --live`.
Instruments that only read the index work without. No instrument can reach held-out text.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import HubelError, UnavailableError, UsageError
from ...tools.subject.address import Unit
from ..runlog.config import RunConfig
from ..runlog.run_subject import open_run_subject, weights_of
from .run_catalog import StoredRun

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

    from ...tools.dissection import Lexicon
    from ...tools.index import Index
    from ...tools.subject import Subject
    from .request_models import CallBody, TryBody
    from .token_maps import TokenMap


class SubjectSession:
    """The loaded subject, if the server may load one."""

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self._lock = threading.Lock()
        self._loaded: tuple[tuple[str, str], Subject] | None = None
        """Name and revision, and the subject."""
        self._vocabulary: tuple[Subject, Lexicon] | None = None
        """The lexicon of the loaded subject; reading it takes longer than a text."""

    def state(self) -> dict[str, Any]:
        """Whether texts can be tried, on which subject, and if not, why: the answer of `/api/live`."""
        if not self.allowed:
            reason = "start `hubel review --live` to load the subject and try texts"
            return {"live": False, "subject": None, "reason": reason}
        if self._loaded is None:
            reason = "the subject is loaded with the first text"
            return {"live": True, "subject": None, "reason": reason}
        return {"live": True, "subject": self._loaded[1].name, "reason": ""}

    def subject(self, run: StoredRun) -> Subject:
        """The subject of a run, loaded now if need be.

        Raises:
            UnavailableError: the server was not started with --live, or the subject cannot be loaded here.
        """
        if not self.allowed:
            raise UnavailableError(self.state()["reason"])
        with self._lock:
            config = RunConfig.load(run.folder)
            key = (config.subject["name"], config.subject["revision"])
            if self._loaded is None or self._loaded[0] != key:
                # Frees the memory of the old subject before the new one is read.
                self._loaded = self._vocabulary = None
                try:
                    self._loaded = key, open_run_subject(run.folder, config)
                except UsageError as error:  # nothing is wrong with the request: 409, not 400
                    raise UnavailableError(str(error)) from None
            return self._loaded[1]

    def try_text(
        self, run: StoredRun, target: str, predicate: str | None, body: TryBody
    ) -> dict[str, Any]:
        """Activations of a target on one text or two, token by token, with the predictions of its predicate."""
        from ...tools.instruments import InstrumentContext, call

        subject, unit = self.subject(run), Unit.parse(target)
        address = str(unit.unsided)
        texts = [body.text] if body.other is None else [body.text, body.other]
        with self._lock:
            arguments = {"texts": texts, "units": [address]}
            result = call("activations.on_text", arguments, InstrumentContext(subject)).to_json()
        maps = [
            _map_of_text(unit, address, text, self._predict(subject, predicate, text["text"]))
            for text in result["texts"]
        ]
        return {"maps": maps, "difference": _difference(*maps) if len(maps) == 2 else None}

    def _predict(
        self, subject: Subject, predicate: str | None, text: str
    ) -> Float[ndarray, " token"] | None:
        """What a predicate predicts on a text; None if there is none or it cannot be run."""
        import numpy as np

        from ..runlog.lexicon import predict, subject_lexicon

        if not predicate:
            return None
        ids = np.array([subject.tokenize(text).ids], dtype=np.int32)
        try:
            kept = self._vocabulary
            if kept is None or kept[0] is not subject:
                kept = subject, subject_lexicon(lambda: subject, weights_of(subject.revision))
                self._vocabulary = kept
            return predict(predicate, kept[1], ids, np.array([ids.shape[1]]))[0]
        except (HubelError, ValueError):
            return None

    def call(self, name: str, run: StoredRun, body: CallBody) -> dict[str, Any]:
        """An instrument's result, as data and as an explainer reads it."""
        from ...tools.instruments import InstrumentContext, get

        instrument = get(name)
        index = _index(run) if "index" in instrument.needs else None
        if "subject" in instrument.needs:
            subject = self.subject(run)
            with self._lock:
                result = instrument(InstrumentContext(subject, index), body.arguments)
        else:
            result = instrument(InstrumentContext(None, index), body.arguments)
        return {"result": result.to_json(), "rendered": result.render()}


def instrument_list() -> list[dict[str, Any]]:
    """All instruments with the schema of their arguments."""
    from ...tools.instruments import instruments

    return [
        {
            "name": entry.name,
            "summary": entry.summary,
            "description": entry.description,
            "schema": entry.schema(),
            "needs": list(entry.needs),
        }
        for entry in instruments().values()
    ]


def _index(run: StoredRun) -> Index:
    from ...tools.index import Index

    path = Path(RunConfig.load(run.folder).index)
    try:
        return Index.open(path)
    except HubelError as error:
        raise UnavailableError(f"the index of {run.name} cannot be read here: {error}") from None


def _map_of_text(
    unit: Unit,
    address: str,
    text: Mapping[str, Any],
    predicted: Float[ndarray, " token"] | None,
) -> TokenMap:
    import numpy as np

    from .token_maps import token_map

    signal = unit.signal(np.array(text["activations"][address]))
    tokens = _tokens_as_written(text)
    return token_map(tokens, signal, split="try", predicted=predicted, source="typed")


def _tokens_as_written(text: Mapping[str, Any]) -> list[str]:
    """Pieces of the text, one for each token, that join to the text again."""
    starts = [0, *(start for start, _ in text["offsets"][1:]), len(text["text"])]
    return [text["text"][start:end] for start, end in pairwise(starts)]


def _difference(first: TokenMap, second: TokenMap) -> dict[str, Any]:
    """The second text minus the first: of the strongest tokens, and token by token if they have as many tokens."""
    from .token_maps import rounded_or_none

    old, new = ([value or 0.0 for value in shown_map["values"]] for shown_map in (first, second))
    # As everywhere, the first token counts only if it is the only one.
    old_peak, new_peak = (max(values[1:] or values, key=abs, default=0.0) for values in (old, new))
    by_token = None
    if len(old) == len(new):
        by_token = [rounded_or_none(b - a) for a, b in zip(old, new, strict=True)]
    return {"values": by_token, "strongest": rounded_or_none(new_peak - old_peak)}
