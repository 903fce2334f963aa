"""Trying things on the subject: text through a target's unit, and any instrument by hand.

The subject is loaded when it is first needed, one at a time, and only by `hubel review --live`;
instruments that read the index alone work without. Held-out text can be reached from no instrument
(`tools.instruments`).
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
from ..runlog.run_subject import open_run_subject
from .run_catalog import StoredRun

if TYPE_CHECKING:
    import numpy as np

    from ...tools.index import Index
    from ...tools.subject import Subject
    from .request_models import CallBody, TryBody


class SubjectSession:
    """The subject that is loaded, if any may be."""

    def __init__(self, allowed: bool) -> None:
        self.allowed = allowed
        self._lock = threading.Lock()
        self._loaded: tuple[tuple[str, str], Subject] | None = None

    def state(self) -> dict[str, Any]:
        """What `/api/live` says."""
        if not self.allowed:
            reason = "start `hubel review --live` to load the subject and try texts"
            return {"live": False, "subject": None, "reason": reason}
        loaded = self._loaded
        reason = "" if loaded else "the subject is loaded with the first text"
        return {"live": True, "subject": loaded[1].name if loaded else None, "reason": reason}

    def subject(self, run: StoredRun) -> Subject:
        """The subject of a run, loaded now if need be.

        Raises:
            UnavailableError: the server was not started to load one, or it cannot be had here.
        """
        if not self.allowed:
            raise UnavailableError(self.state()["reason"])
        with self._lock:
            config = RunConfig.load(run.folder)
            key = (config.subject["name"], config.subject["revision"])
            if self._loaded is None or self._loaded[0] != key:
                self._loaded = (
                    None  # one at a time: the old one's memory is free before the new one is read
                )
                try:
                    self._loaded = key, open_run_subject(run.folder, config)
                except UsageError as error:  # nothing is wrong with the request: 409, not 400
                    raise UnavailableError(str(error)) from None
            return self._loaded[1]

    def try_text(
        self, run: StoredRun, target: str, predicate: str | None, body: TryBody
    ) -> dict[str, Any]:
        """Activations of a target on one text or two, token by token, with what its predicate predicts there."""
        import numpy as np

        from ...tools.instruments import InstrumentContext, call
        from .token_maps import token_map

        subject, unit = self.subject(run), Unit.parse(target)
        texts = [body.text] if body.other is None else [body.text, body.other]

        with self._lock:
            found = call(
                "activations.on_text",
                {"texts": texts, "units": [str(unit.unsided)]},
                InstrumentContext(subject),
            ).to_json()
        maps = []
        for text in found["texts"]:
            raw = np.array(text["activations"][str(unit.unsided)])
            predicted = _predicted(subject, predicate, text["text"]) if predicate else None
            shown = unit.signal(raw)
            maps.append(
                token_map(_spelled(text), shown, split="try", predicted=predicted, source="typed")
            )
        return {"maps": maps, "difference": _difference(maps) if len(maps) == 2 else None}

    def call(self, name: str, run: StoredRun, body: CallBody) -> dict[str, Any]:
        """One instrument's answer, as data and as an explainer reads it."""
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


def listed() -> dict[str, Any]:
    """All instruments with the schema of their arguments."""
    from ...tools.instruments import instruments

    return {
        "instruments": [
            {"name": entry.name, "summary": entry.summary, "description": entry.description}
            | {"schema": entry.schema(), "needs": list(entry.needs)}
            for entry in instruments().values()
        ]
    }


def _index(run: StoredRun) -> Index:
    from ...tools.index import Index

    path = Path(RunConfig.load(run.folder).index)
    try:
        return Index.open(path)
    except HubelError as error:
        raise UnavailableError(f"the index of {run.name} cannot be read here: {error}") from None


def _spelled(text: Mapping[str, Any]) -> list[str]:
    """A text's tokens as it spells them, so that they join to the text again."""
    starts = [0, *(start for start, _ in text["offsets"][1:]), len(text["text"])]
    return [text["text"][start:end] for start, end in pairwise(starts)]


def _predicted(subject: Subject, printed: str, text: str) -> np.ndarray | None:
    """What the predicate predicts on a text."""
    import numpy as np

    from ..runlog.lexicon import predict, subject_lexicon
    from ..runlog.run_subject import weights_of

    ids = np.array([subject.tokenize(text).ids], dtype=np.int32)
    try:
        lexicon = subject_lexicon(lambda: subject, weights_of(subject.revision))
        return predict(printed, lexicon, ids, np.array([ids.shape[1]]))[0]
    except (HubelError, ValueError):
        return None


def _difference(maps: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The second text minus the first: token by token where they have as many tokens, and of the strongest."""
    from .token_maps import clean

    first, second = ([value or 0.0 for value in shown["values"]] for shown in maps)
    peaks = [max(values[1:] or values, key=abs, default=0.0) for values in (first, second)]
    same = len(first) == len(second)
    by_token = [clean(b - a) for a, b in zip(first, second, strict=True)] if same else None
    return {"values": by_token, "strongest": clean(peaks[1] - peaks[0])}
