"""What some scorers need besides text: the subject, other units, an embedding.

`evals` runs no model. A caller that has a subject (`agent.rescoring`, a bench, a notebook) fills in
what it can, each as one callable. A scorer is skipped if it lacks one (`Unscorable`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Float, Int

from ..judge.protocol import Unscorable


class ActivationsOnTexts(Protocol):
    """Runs new texts through the subject."""

    def __call__(self, texts: Sequence[str]) -> Sequence[Float[np.ndarray, " tokens"]]:
        """The target's signal at every token of each text but the first, an attention sink."""
        ...


class TextLoss(Protocol):
    """A base language model's surprise."""

    def __call__(
        self, prefixes: Sequence[str], texts: Sequence[str]
    ) -> Float[np.ndarray, " texts"]:
        """Mean cross-entropy of each text after its prefix, in nats per token."""
        ...


class TextEmbedding(Protocol):
    """Any text embedding."""

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "texts d"]:
        """One row per text; zeros for a text without a known word."""
        ...


class PredictTokens(Protocol):
    """The explanation's predicate on other tokens."""

    def __call__(
        self, tokens: Int[np.ndarray, "contexts seq"], length: Int[np.ndarray, " contexts"]
    ) -> Float[np.ndarray, "contexts seq"]:
        """Predicted activations."""
        ...


class TokenEffect(NamedTuple):
    """The tokens whose log-probability a unit raises and lowers most."""

    promoted: tuple[int, ...]
    suppressed: tuple[int, ...]


class MeasureEffects(Protocol):
    """Ablates and steers units."""

    def __call__(
        self,
        contexts: Sequence[Int[np.ndarray, " chosen"]],
        positions: Sequence[Int[np.ndarray, " chosen"]],
    ) -> Sequence[Sequence[TokenEffect]]:
        """The effect of the target in each trial, then those of decoys, units of the same layer.

        Args:
            contexts: for each trial, a few contexts of the sample.
            positions: one position in each of them.
        """
        ...


@dataclass(frozen=True, eq=False)
class ConfusableUnit:
    """Another unit that fires together with the target, or writes in nearly its direction."""

    name: str
    signal: Float[np.ndarray, "contexts seq"]
    """Its signal on the contexts of the sample."""


@dataclass(frozen=True, eq=False)
class ScorerResources:
    """What the caller provides; None and empty for the rest."""

    activations_on: ActivationsOnTexts | None = None
    loss: TextLoss | None = None
    embed: TextEmbedding | None = None
    predict: PredictTokens | None = None
    effects: MeasureEffects | None = None
    neighbours: Sequence[ConfusableUnit] = ()


def unscorable_without(what: str) -> Unscorable:
    """The error of a scorer without a resource that it needs."""
    return Unscorable(f"needs {what}")


def in_words_only(needs: str) -> Unscorable:
    """The error of a scorer that needs a predicate, or something that reads words instead."""
    return Unscorable(
        f"an explanation in words only: needs {needs}, or its predicate "
        "(a table's column predicate; hubel prints one with each of its own explanations)"
    )
