"""What some scorers need beside text: the subject, other units, an embedding. Each is one callable,
or missing.

`evals` runs no model. Whoever has a subject (`agent.rescoring.evaluate`, a bench, a notebook) fills
in what it can; a scorer that lacks what it needs says so (`Unscorable`) and leaves no score.
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
        """The target's signal at every token of each text, the first token (an attention sink) left out."""
        ...


class TextLoss(Protocol):
    """A base language model's surprise."""

    def __call__(
        self, prefixes: Sequence[str], texts: Sequence[str]
    ) -> Float[np.ndarray, " texts"]:
        """Mean cross-entropy, in nats a token, of each text behind its prefix."""
        ...


class TextEmbedding(Protocol):
    """Any text embedding."""

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "texts d"]:
        """One row a text; rows of zeros for texts that it knows nothing of."""
        ...


class PredictTokens(Protocol):
    """The explanation's predicate on other tokens."""

    def __call__(
        self, tokens: Int[np.ndarray, "contexts seq"], length: Int[np.ndarray, " contexts"]
    ) -> Float[np.ndarray, "contexts seq"]:
        """Predicted activations."""
        ...


class TokenEffect(NamedTuple):
    """What a unit does to the next-token distribution: the tokens whose log-probability it raises and lowers most."""

    promoted: tuple[int, ...]
    suppressed: tuple[int, ...]


class MeasureEffects(Protocol):
    """Ablates and steers."""

    def __call__(
        self,
        contexts: Sequence[Int[np.ndarray, " chosen"]],
        positions: Sequence[Int[np.ndarray, " chosen"]],
    ) -> Sequence[Sequence[TokenEffect]]:
        """For each trial, a few contexts of the sample with a position each: the effect of the
        target, then those of decoys, units of the same layer, at the same places."""
        ...


@dataclass(frozen=True, eq=False)
class ConfusableUnit:
    """Another unit that is easily taken for the target: it fires together with it, or writes in its direction."""

    name: str
    signal: Float[np.ndarray, "contexts seq"]
    """Its signal on the contexts of the sample."""


@dataclass(frozen=True, eq=False)
class ScorerResources:
    """What is there to work with."""

    activations_on: ActivationsOnTexts | None = None
    loss: TextLoss | None = None
    embed: TextEmbedding | None = None
    predict: PredictTokens | None = None
    effects: MeasureEffects | None = None
    neighbours: Sequence[ConfusableUnit] = ()


def unscorable_without(what: str) -> Unscorable:
    """The error of a scorer that lacks something."""
    return Unscorable(f"needs {what}")
