"""Predicted and true activations of one target: the input of every numeric scorer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.errors import UsageError
from .resampling import CURRENT, Resampling

STRONGEST = 10
"""Tokens whose median distance from the middle is the scale of a unit."""
ACTIVE_SHARE = 0.3
"""Of that scale. On 200 neurons of SmolLM2-135M 0 of 200 are active in fewer than 10 of 91 held-out
documents, and 5 of their 400 sides; the median neuron is active in 70."""


class ActivityLevel(NamedTuple):
    """From which signal on a token is active, by the unit's own range on explore.

    A gated neuron is never exactly 0 and the norm of a head has a base, so that "any activation" would
    be everywhere. The scale is that of the ten strongest tokens, which one freak token cannot set; a
    share of it as in the windows of *detection*.
    """

    middle: float
    """Median signal of explore."""
    distance: float
    """A token is active if its signal is farther than this from the middle."""

    @classmethod
    def of(cls, signal: Float[np.ndarray, " tokens"]) -> Self:
        """From the signal at the tokens of explore that count; at least one."""
        middle = float(np.median(signal))
        distance = np.abs(signal - middle)
        strongest = np.sort(distance)[-STRONGEST:]
        return cls(middle, ACTIVE_SHARE * float(np.median(strongest)))

    def active(self, signal: Float[np.ndarray, "contexts seq"]) -> Bool[np.ndarray, "contexts seq"]:
        """Where a signal is active."""
        return np.abs(signal - self.middle) > self.distance


@dataclass(frozen=True, eq=False)
class Sample:
    """Predicted and true signal at every token, and the document of each context.

    Values outside the mask (padding, position 0) are set to zero and never read. Inside it, a value
    that is not finite is an error, so that a broken prediction can never become a score.

    Attributes:
        group: the group of near-duplicates of each context's document; None: each document is one.
    """

    predicted: Float[np.ndarray, "contexts seq"]
    true: Float[np.ndarray, "contexts seq"]
    mask: Bool[np.ndarray, "contexts seq"]
    document: Int[np.ndarray, " contexts"]
    group: Int[np.ndarray, " contexts"] | None = None
    resampling: Resampling = CURRENT

    def __post_init__(self) -> None:
        mask = np.asarray(self.mask, dtype=bool)
        document = np.asarray(self.document)
        if mask.ndim != 2 or document.shape != mask.shape[:1]:
            raise UsageError(
                f"mask {mask.shape} and document {document.shape}: "
                "expected [contexts, seq] and [contexts]"
            )
        if not mask.any():
            raise UsageError(
                "there is no token to score: the mask is empty; give the split more text"
            )
        group = document if self.group is None else np.asarray(self.group)
        if group.shape != document.shape:
            raise UsageError(
                f"group {group.shape}; expected one number for each of {document.shape}"
            )
        checked = {
            "mask": mask,
            "document": document,
            "group": group,
            "predicted": _masked(self.predicted, mask, "predicted"),
            "true": _masked(self.true, mask, "true"),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.document)

    def with_prediction(self, predicted: Float[np.ndarray, "contexts seq"]) -> Self:
        """The same text and truth under another prediction."""
        return replace(self, predicted=predicted)

    def take(self, contexts: Int[np.ndarray, " chosen"]) -> Self:
        """Only these contexts, in this order."""
        return replace(
            self,
            predicted=self.predicted[contexts],
            true=self.true[contexts],
            mask=self.mask[contexts],
            document=self.document[contexts],
            group=self.groups[contexts],
        )

    @property
    def groups(self) -> Int[np.ndarray, " contexts"]:
        """The group of each context's document."""
        assert self.group is not None  # filled in above
        return self.group

    @property
    def unit(self) -> Int[np.ndarray, " contexts"]:
        """What is resampled: contexts of different units are independent."""
        return self.groups if self.resampling.unit == "group" else self.document

    def without_duplicates(self) -> Self:
        """Only the first document of each unit, where a test needs contexts that could be exchanged."""
        _, unit = np.unique(self.unit, return_inverse=True)
        first = np.full(unit.max() + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, unit, self.document)
        kept = self.document == first[unit]
        return self if kept.all() else self.take(np.flatnonzero(kept))

    def active_documents(self, activity: ActivityLevel | None = None) -> int:
        """Documents with an active token; near-duplicates count once.

        Args:
            activity: what counts as active; without it any signal but 0, as in old runs.
        """
        active = self.true != 0 if activity is None else activity.active(self.true) & self.mask
        return len(np.unique(self.unit[active.any(axis=1)]))


def _masked(values: np.ndarray, mask: np.ndarray, name: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != mask.shape:
        raise UsageError(
            f"{name} activations have shape {values.shape}; expected the mask's {mask.shape}"
        )
    values = np.where(mask, values, 0.0)
    if not np.isfinite(values).all():
        context, position = np.argwhere(~np.isfinite(values))[0]
        raise UsageError(
            f"{name} activation {values[context, position]} "
            f"at context {context}, position {position}: "
            "expected a finite number; leave out a failed prediction"
        )
    return values
