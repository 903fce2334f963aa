"""`ScorerResources` from a subject: what scorers may do to it, on one target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ...evals.scorers.resources import ConfusableUnit, TokenEffect
from ...tools.instruments.input_texts import read_units, tokenize_texts
from ...tools.instruments.similar_units import similar_collected_units
from ...tools.subject.address import Unit

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from ...tools.dissection import Lexicon
    from ...tools.index import Collected
    from ...tools.subject import Subject

TOP = 10
"""Tokens that an effect lists."""
N_CONFUSABLE = 5
_BEFORE = 16
"""Tokens of text that an effect is measured behind. More cost time in proportion and change few effects."""
_PASS = 16
"""Rows of a forward pass with logits: 200 MB of them at a vocabulary of 49k and 64 tokens."""


class SubjectProbe:
    """Callables of `evals.scorers.resources.ScorerResources` for one target.

    Args:
        lock: held while the subject runs; shared by all who use it.
    """

    def __init__(
        self, subject: Subject, unit: Unit, decoys: Sequence[Unit] = (), lock: Lock | None = None
    ) -> None:
        self._subject, self._unit, self._decoys = subject, unit, list(decoys)
        self._lock = lock or Lock()

    def activations_on(self, texts: Sequence[str]) -> list[Float[np.ndarray, " tokens"]]:
        """See `evals.scorers.resources.ActivationsOnTexts`. A text of no or one token fires nothing."""
        kept = [n for n, text in enumerate(texts) if len(self._subject.tokenize(text).ids) > 1]
        tokenized = tokenize_texts(self._subject, [texts[n] for n in kept])
        with self._lock:
            signals = read_units(self._subject, tokenized, [self._unit])
        activations = {n: signal[1:] for n, (signal,) in zip(kept, signals, strict=True)}
        return [activations.get(n, np.zeros(0)) for n in range(len(texts))]

    def loss(self, prefixes: Sequence[str], texts: Sequence[str]) -> Float[np.ndarray, " texts"]:
        """See `evals.scorers.resources.TextLoss`."""
        import torch

        tokens = [self._fitted(prefix, text) for prefix, text in zip(prefixes, texts, strict=True)]
        found = np.zeros(len(texts))
        for start in range(0, len(texts), _PASS):
            rows = tokens[start : start + _PASS]
            ids = torch.zeros(len(rows), max(len(p) + len(t) for p, t in rows), dtype=torch.long)
            for row, (prefix, text) in enumerate(rows):
                ids[row, : len(prefix) + len(text)] = torch.tensor([*prefix, *text])
            logits = self._logits(ids)
            for row, (prefix, text) in enumerate(rows):
                if text and prefix:
                    said = (
                        logits[row, len(prefix) - 1 : len(prefix) + len(text) - 1]
                        .float()
                        .log_softmax(-1)
                    )
                    found[start + row] = (
                        -said.gather(1, torch.tensor(text).to(said.device)[:, None]).mean().item()
                    )
        return found

    def _fitted(self, prefix: str, text: str) -> tuple[list[int], list[int]]:
        """Token ids of both; a prefix too long for the subject loses its beginning."""
        read = self._subject.tokenize(text).ids[: self._subject.context_length - 1]
        return self._subject.tokenize(prefix).ids[
            -(self._subject.context_length - len(read)) :
        ], read

    def _logits(self, ids: Tensor) -> Tensor:
        with self._lock:
            logits = self._subject.capture(ids, [], logits=True).logits
        assert logits is not None
        return logits

    def effects(
        self, tokens: Int[np.ndarray, "contexts seq"], strength: float
    ) -> Callable[[Sequence[np.ndarray], Sequence[np.ndarray]], list[list[TokenEffect]]]:
        """See `evals.scorers.resources.MeasureEffects`: of being steered to a strength, against being
        ablated, at the same places.

        What was measured is kept: a unit does the same under every explanation of it.
        """
        known: dict[bytes, list[TokenEffect]] = {}

        def measured(rows: np.ndarray, at: np.ndarray) -> list[TokenEffect]:
            key = np.concatenate([rows, at]).tobytes()
            if key not in known:
                known[key] = self._effects(_endings(tokens, rows, at), strength)
            return known[key]

        def measure(
            contexts: Sequence[np.ndarray], positions: Sequence[np.ndarray]
        ) -> list[list[TokenEffect]]:
            return [measured(rows, at) for rows, at in zip(contexts, positions, strict=True)]

        return measure

    def _effects(self, ids: Int[np.ndarray, "places seq"], strength: float) -> list[TokenEffect]:
        """Of the target and of each decoy on the next token, each steered and ablated in a row of its own."""
        import torch

        from ...tools.subject import Intervention

        sign = -1.0 if self._unit.side == "-" else 1.0
        last = (ids.shape[1] - 1,)
        changes = [
            [change]
            for unit in (self._unit.unsided, *self._decoys)
            for change in (
                Intervention(unit, "set", last, sign * strength),
                Intervention(unit, "zero", last),
            )
            for _ in ids
        ]
        rows = torch.tensor(np.tile(ids, (len(changes) // len(ids), 1)).astype(np.int64))
        with self._lock:
            logits = self._subject.capture(
                rows, [], interventions=changes, logits=True, last_only=True
            ).logits
        assert logits is not None
        said = (
            logits[:, -1].float().log_softmax(-1).unflatten(0, (-1, 2, len(ids)))
        )  # unit, steered or not, place
        return [_effect(change) for change in (said[:, 0] - said[:, 1]).mean(dim=1)]


def _endings(
    tokens: Int[np.ndarray, "contexts seq"],
    rows: Int[np.ndarray, " places"],
    at: Int[np.ndarray, " places"],
) -> Int[np.ndarray, "places short"]:
    """The text before and at each position, all of one length."""
    length = min(_BEFORE, int(at.min()) + 1)
    return np.stack(
        [tokens[row, end - length + 1 : end + 1] for row, end in zip(rows, at, strict=True)]
    )


def _effect(change: Float[Tensor, " vocab"]) -> TokenEffect:
    order = change.argsort(descending=True, stable=True).tolist()
    return TokenEffect(tuple(order[:TOP]), tuple(order[-TOP:]))


def draw_decoys(unit: Unit, width: int, seed: int, count: int = 2) -> list[Unit]:
    """Other units of the target's layer."""
    drawn = np.random.default_rng([seed, 6]).permutation(width)
    others = [int(index) for index in drawn if int(index) != unit.index][:count]
    return [Unit(unit.site, unit.layer, index) for index in others]


def confusable_units(
    unit: Unit, explore: Collected, split: Collected, subject: Subject | None = None
) -> list[ConfusableUnit]:
    """The collected units of a unit's layer that are most like it, with what they do on a split."""
    similar = similar_collected_units(unit, explore, subject, N_CONFUSABLE)
    return [
        ConfusableUnit(str(other), other.signal(split.activations(other.unsided)))
        for other in similar
    ]


class WordVectorEmbedding:
    """Texts as the mean of their words' vectors in a lexicon: an embedding that needs no further model."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "texts d"]:
        """See `evals.scorers.resources.TextEmbedding`."""
        import re

        vectors = self._lexicon.vectors
        assert vectors is not None
        rows = np.zeros((len(texts), vectors.shape[1]))
        for row, text in zip(rows, texts, strict=True):
            known = [
                self._lexicon.word_ids[w]
                for w in re.findall(r"\w+", text.lower())
                if w in self._lexicon.word_ids
            ]
            if known:
                row += vectors[self._lexicon.token_of_word[known]].mean(axis=0)
        return rows
