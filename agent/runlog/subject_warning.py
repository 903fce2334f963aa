"""The line that a run shows at its top if its subject knows nothing of the text (`controls.subject_check`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EVENT = "subject_check"
"""`{loss, frequencies, tokens}`: mean losses of the subject and of token frequencies, in nats a token."""


def warning_of(event: Mapping[str, Any] | None, subject: str, corpus: str) -> str | None:
    """The warning, or None: the subject is better than frequencies, or an older run did not compare."""
    if event is None:
        return None
    loss, frequencies = event.get("loss"), event.get("frequencies")
    if loss is None or frequencies is None or loss < frequencies:
        return None
    return (
        f"a subject with redrawn weights would do as well: {subject} predicts {corpus} no better "
        f"than token frequencies do (loss {loss:.2f} against {frequencies:.2f} nats a token), so "
        "explanations here say nothing about what it has learned"
    )
