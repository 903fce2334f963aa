"""What scorers may do to the subject: run new text, measure losses, steer and ablate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from ...evals.scorers.resources import ConfusableUnit, MeasureEffects, TokenEffect
from ...tools.instruments.similar_units import similar_collected_units
from ...tools.subject.address import Unit
from ...tools.subject.input_texts import read_units, tokenize_texts

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from ...tools.dissection import Lexicon
    from ...tools.index import Collected
    from ...tools.subject import Subject

TOP = 10
"""Tokens that an effect lists."""
N_CONFUSABLE = 5
CONTEXT_BEFORE = 16
"""Tokens of text before an effect. More cost time in proportion and change few effects."""
ROWS_PER_PASS = 16
"""Rows of a forward pass with logits: 200 MB of logits at a vocabulary of 49k and 64 tokens."""


class SubjectProbe:
    """The callables of `evals.scorers.resources.ScorerResources` that need the subject.

    Args:
        decoys: units whose effects are measured with the target's.
        lock: held while the subject runs; share one among all probes of a subject.
    """

    def __init__(
        self, subject: Subject, unit: Unit, decoys: Sequence[Unit] = (), lock: Lock | None = None
    ) -> None:
        self._subject, self._unit, self._decoys = subject, unit, list(decoys)
        self._lock = lock or Lock()

    def activations_on(self, texts: Sequence[str]) -> list[Float[np.ndarray, " tokens"]]:
        """See `evals.scorers.resources.ActivationsOnTexts`. None for a single token."""
        readable = [n for n, text in enumerate(texts) if len(self._subject.tokenize(text).ids) > 1]
        tokenized = tokenize_texts(self._subject, [texts[n] for n in readable])
        with self._lock:
            signals = read_units(self._subject, tokenized, [self._unit])
        # The first token is an attention sink: its activation says nothing about the text.
        activations = {n: signal[1:] for n, (signal,) in zip(readable, signals, strict=True)}
        return [activations.get(n, np.zeros(0)) for n in range(len(texts))]

    def loss(self, prefixes: Sequence[str], texts: Sequence[str]) -> Float[np.ndarray, " texts"]:
        """See `evals.scorers.resources.TextLoss`."""
        import torch

        pairs = [self._fit_context(p, t) for p, t in zip(prefixes, texts, strict=True)]
        losses = np.zeros(len(texts))
        for start in range(0, len(texts), ROWS_PER_PASS):
            batch = pairs[start : start + ROWS_PER_PASS]
            longest = max(len(prefix) + len(text) for prefix, text in batch)
            ids = torch.zeros(len(batch), longest, dtype=torch.long)
            for row, (prefix, text) in enumerate(batch):
                ids[row, : len(prefix) + len(text)] = torch.tensor([*prefix, *text])
            logits = self._logits(ids)
            for row, (prefix, text) in enumerate(batch):
                if text and prefix:
                    # the logits one position earlier predict a token
                    span = slice(len(prefix) - 1, len(prefix) + len(text) - 1)
                    log_probs = logits[row, span].float().log_softmax(-1)
                    targets = torch.tensor(text).to(log_probs.device)[:, None]
                    losses[start + row] = -log_probs.gather(1, targets).mean().item()
        return losses

    def _fit_context(self, prefix: str, text: str) -> tuple[list[int], list[int]]:
        """Token ids of both. A prefix too long for the subject loses its beginning."""
        limit = self._subject.context_length
        text_ids = self._subject.tokenize(text).ids[: limit - 1]
        return self._subject.tokenize(prefix).ids[-(limit - len(text_ids)) :], text_ids

    def _logits(self, ids: Tensor) -> Tensor:
        with self._lock:
            logits = self._subject.capture(ids, [], logits=True).logits
        assert logits is not None
        return logits

    def effects(self, tokens: Int[np.ndarray, "contexts seq"], strength: float) -> MeasureEffects:
        """See `evals.scorers.resources.MeasureEffects`: steered to a strength, against ablated.

        Measurements are kept: a unit does the same under every explanation of it.
        """
        measured: dict[bytes, list[TokenEffect]] = {}

        def measure_trial(rows: np.ndarray, positions: np.ndarray) -> list[TokenEffect]:
            key = np.concatenate([rows, positions]).tobytes()
            if key not in measured:
                measured[key] = self._effects(_endings(tokens, rows, positions), strength)
            return measured[key]

        def measure(
            contexts: Sequence[np.ndarray], positions: Sequence[np.ndarray]
        ) -> list[list[TokenEffect]]:
            return [measure_trial(*trial) for trial in zip(contexts, positions, strict=True)]

        return measure

    def _effects(self, ids: Int[np.ndarray, "places seq"], strength: float) -> list[TokenEffect]:
        """Effects of the target and of each decoy on the next token, averaged over the places."""
        import torch

        from ...tools.subject import Intervention

        # 1. one row for each unit, each intervention (steered, ablated) and each place
        sign = -1.0 if self._unit.side == "-" else 1.0
        last = (ids.shape[1] - 1,)
        changes: list[list[Intervention]] = []
        for unit in (self._unit.unsided, *self._decoys):
            steered = Intervention(unit, "set", last, sign * strength)
            ablated = Intervention(unit, "zero", last)
            changes += [[steered] for _ in ids] + [[ablated] for _ in ids]
        rows = torch.tensor(np.tile(ids, (len(changes) // len(ids), 1)).astype(np.int64))
        # 2. one pass
        with self._lock:
            logits = self._subject.capture(
                rows, [], interventions=changes, logits=True, last_only=True
            ).logits
        assert logits is not None
        # 3. steered minus ablated, [unit, steered or ablated, place, vocabulary]
        log_probs = logits[:, -1].float().log_softmax(-1).unflatten(0, (-1, 2, len(ids)))
        return [_effect(change) for change in (log_probs[:, 0] - log_probs[:, 1]).mean(dim=1)]


def _endings(
    tokens: Int[np.ndarray, "contexts seq"],
    rows: Int[np.ndarray, " places"],
    positions: Int[np.ndarray, " places"],
) -> Int[np.ndarray, "places short"]:
    """The text up to each position, all of one length."""
    length = min(CONTEXT_BEFORE, int(positions.min()) + 1)
    ends = zip(rows, positions, strict=True)
    return np.stack([tokens[row, end - length + 1 : end + 1] for row, end in ends])


def _effect(change: Float[Tensor, " vocab"]) -> TokenEffect:
    order = change.argsort(descending=True, stable=True).tolist()
    return TokenEffect(tuple(order[:TOP]), tuple(order[-TOP:]))


def draw_decoys(unit: Unit, width: int, seed: int, count: int = 2) -> list[Unit]:
    """Other units of the target's layer, drawn at random.

    Args:
        width: units of the layer.
    """
    order = np.random.default_rng([seed, 6]).permutation(width)
    others = [int(index) for index in order if int(index) != unit.index][:count]
    return [replace(unit, index=index, side="both") for index in others]


def confusable_units(
    unit: Unit, explore: Collected, split: Collected, subject: Subject | None = None
) -> list[ConfusableUnit]:
    """The collected units of a unit's layer that are most like it, with their signal on a split."""
    similar = similar_collected_units(unit, explore, subject, N_CONFUSABLE)
    return [ConfusableUnit(str(other), split.signal(other)) for other in similar]


class WordVectorEmbedding:
    """Texts as the mean of their words' vectors in the lexicon: needs no other model."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "texts d"]:
        """See `evals.scorers.resources.TextEmbedding`."""
        vectors, word_ids = self._lexicon.vectors, self._lexicon.word_ids
        assert vectors is not None
        rows = np.zeros((len(texts), vectors.shape[1]))
        for row, text in zip(rows, texts, strict=True):
            words = re.findall(r"\w+", text.lower())
            ids = [word_ids[word] for word in words if word in word_ids]
            if ids:
                row += vectors[self._lexicon.token_of_word[ids]].mean(axis=0)
        return rows
