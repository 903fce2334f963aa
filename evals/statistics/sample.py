"""Predicted and true activations of one target: the input of every numeric scorer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.errors import UsageError


@dataclass(frozen=True, eq=False)
class Sample:
    """Predicted and true signal at every token, and the document of each context.

    Values outside the mask (padding, position 0) are set to zero and never read. Inside it, a value
    that is not finite is an error, so that a broken prediction can never become a score.
    """

    predicted: Float[np.ndarray, "contexts seq"]
    true: Float[np.ndarray, "contexts seq"]
    mask: Bool[np.ndarray, "contexts seq"]
    document: Int[np.ndarray, " contexts"]

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
        checked = {
            "mask": mask,
            "document": document,
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
        parts = (self.predicted, self.true, self.mask, self.document)
        return type(self)(*(part[contexts] for part in parts))

    @property
    def active_documents(self) -> int:
        """Documents with any activation: a true signal other than 0 at a token that counts."""
        return len(np.unique(self.document[(self.true != 0).any(axis=1)]))


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
