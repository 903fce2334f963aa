"""Interventions on the record: a run as one line of JSON, which can be run again and held against what it gave.

trial = carry_out(subject, ids, [Intervention(...)], tokens=[262, 311])
log.write(json.dumps(trial.to_json()) + "\\n")
...
replay(subject, Trial.from_json(json.loads(line)))     # raises when it no longer gives the same
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import CorruptError, UsageError
from .intervene import Intervention
from .subject import Subject


@dataclass(frozen=True)
class Trial:
    """One prompt with interventions, and what came of it.

    Attributes:
        revision: of the subject's weights.
        logits: of `tokens`, behind the prompt's last token.
    """

    revision: str
    ids: tuple[int, ...]
    interventions: tuple[Intervention, ...]
    tokens: tuple[int, ...]
    logits: tuple[float, ...]

    def digest(self) -> str:
        """Names the question, whatever the answer: the same question has the same digest on every machine."""
        asked = {key: value for key, value in self.to_json().items() if key != "logits"}
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return {
            "revision": self.revision,
            "ids": list(self.ids),
            "interventions": [each.to_json() for each in self.interventions],
            "tokens": list(self.tokens),
            "logits": list(self.logits),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """The inverse of `to_json`; raises UsageError when a field is missing or off."""
        try:
            interventions = tuple(Intervention.from_json(each) for each in data["interventions"])
            rest = (tuple(data[key]) for key in ("tokens", "logits"))
            return cls(data["revision"], tuple(data["ids"]), interventions, *rest)
        except (KeyError, TypeError) as error:
            fields = ", ".join(cls.__dataclass_fields__)
            raise UsageError(f"{dict(data)!r} is no trial ({error!r}); its fields are {fields}") from error


def carry_out(
    subject: Subject, ids: Sequence[int], interventions: Sequence[Intervention], tokens: Sequence[int]
) -> Trial:
    """Run a prompt with interventions and keep some next tokens' logits."""
    run = {"interventions": [list(interventions)], "logits": True, "last_only": True}
    logits = subject.capture(torch.tensor([list(ids)]), [], **run).logits
    assert logits is not None  # asked for
    values = logits[0, -1, list(tokens)].double().tolist()
    return Trial(subject.revision, tuple(ids), tuple(interventions), tuple(tokens), tuple(values))


def replay(subject: Subject, trial: Trial, tolerance: float = 1e-4) -> Trial:
    """Run a trial again.

    Raises:
        UsageError: the subject is another one.
        CorruptError: it gives something else now.
    """
    if subject.revision != trial.revision:
        raise UsageError(f"the trial was on weights {trial.revision}, and {subject.name} has {subject.revision}")
    again = carry_out(subject, trial.ids, trial.interventions, trial.tokens)
    off = max(abs(one - two) for one, two in zip(again.logits, trial.logits, strict=True))
    if off > tolerance:
        raise CorruptError(f"trial {trial.digest()} gave {trial.logits} and now gives {again.logits}: {off:.2g} off")
    return again
