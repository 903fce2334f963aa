"""The instruments: what an explainer, a person or a program can do to a subject, one file each.

`registry` finds them; a new instrument is one decorated function in a new file here. Not here:
instruments that could reach held-out text. There are none.
"""

from __future__ import annotations

from .registry import (
    Instrument,
    InstrumentContext,
    Need,
    Result,
    Text,
    UnitAddress,
    call,
    get,
    instrument,
    instruments,
    rounded,
)

__all__ = [
    "Instrument",
    "InstrumentContext",
    "Need",
    "Result",
    "Text",
    "UnitAddress",
    "call",
    "get",
    "instrument",
    "instruments",
    "rounded",
]
