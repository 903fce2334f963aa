"""Compare: a model with itself has not changed; a planted change of a layer or a word is named."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch

from ....studies import StudyResult
from ....studies.behaviour.compare import (
    OTHER,
    SLICES,
    UNCHANGED,
    conclude,
    kind_of,
    measure_layers,
    measure_predictions,
)
from ....studies.measurements import Measured
from ....tools.subject.subject import Subject
from ...tiny_subject import WORDS, miniature
from ..registry import known_answer, null

DOCUMENTS, TOKENS = 24, 24
LAYERS = 4


def _texts(subject: Subject, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    words = [f" {word}" for word in WORDS.split()]
    ids = np.array(
        [subject.tokenize("".join(rng.choice(words, TOKENS))).ids for _ in range(DOCUMENTS)]
    )
    strings = subject.token_strings()
    return ids, np.array([[kind_of(strings[token]) for token in row] for row in ids])


def _compared(first: Subject, second: Subject, seed: int) -> tuple[StudyResult, Measured, Measured]:
    ids, kinds = _texts(first, seed)
    pair = (first, second)
    predictions = measure_predictions(pair.__getitem__, ids)
    layers = measure_layers(pair.__getitem__, ids)
    return conclude(predictions, kinds, layers, seed), predictions, layers


@known_answer("compare", "a model with itself: KL 0, CKA 1, every claim says that nothing changed")
def itself(seed: int) -> bool:
    subject = miniature(seed)
    result, predictions, layers = _compared(subject, subject, seed)
    nothing = predictions["kl"].max() < 1e-9 and layers["relative"].max() == 0
    same = np.abs(layers["cka"] - 1).max() < 1e-6 and np.nanmin(layers["correlation"]) > 1 - 1e-6
    said = all(UNCHANGED in c.claim and c.verdict == "cannot say" for c in result.claims)
    return bool(nothing and same and said)


@known_answer("compare", "a change planted in one layer's MLP: that layer and its neuron are named")
def one_layer(seed: int) -> bool:
    first, second = miniature(seed), miniature(seed)
    layer, neuron = seed % 3, 5 + seed
    mlp: Any = second.parts.layers[layer].mlp
    weight = mlp.up_proj.weight
    with torch.no_grad():
        weight[neuron] = torch.randn(weight.shape[1], generator=torch.Generator().manual_seed(seed))
    result, _, layers = _compared(first, second, seed)
    claim = result.claims[-1]
    changed = np.flatnonzero(layers["relative"].max(axis=0) > 1e-5).tolist()
    units = [row["name"] for row in result.rows if row["what"] == "unit"]
    named = f", layer {layer} (" in claim.claim and claim.verdict == "supported"
    return named and changed == [layer] and units == [f"mlp.{layer}.{neuron}"]


@known_answer("compare", "a change planted in the words of one slice: that slice alone is named")
def one_slice(seed: int) -> bool:
    first = miniature(seed)
    second = Subject(deepcopy(first.model), first.tokenizer, name="changed", revision="1" * 16)
    (number,) = first.tokenize(" 1999").ids
    with torch.no_grad():
        noise = torch.randn(16, generator=torch.Generator().manual_seed(seed))
        second.model.get_input_embeddings().weight[number] += 2 * noise
    result, _, _ = _compared(first, second, seed)
    supported = [c.claim for c in result.claims if c.verdict == "supported" and "after" in c.claim]
    return [claim.split(" (")[0] for claim in supported] == [
        "predictions after numbers changed more than after other tokens"
    ]


@null("compare", "changes that are the same in every slice and layer, and cost nothing on average")
def even_changes(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed)
    shape = (DOCUMENTS, TOKENS - 1)
    kl = rng.gamma(1, 0.1, shape) * rng.gamma(4, 0.25, (DOCUMENTS, 1))
    loss = rng.gamma(4, 1, shape)
    shift = rng.normal(0, 0.05, (DOCUMENTS, 1)) + rng.normal(0, 0.2, shape)
    kinds = rng.choice([*SLICES, OTHER], (DOCUMENTS, TOKENS))
    size = rng.gamma(4, 0.25, (DOCUMENTS, 1))
    relative = size * rng.gamma(4, 0.25, (DOCUMENTS, LAYERS))
    layers = {
        "relative": relative,
        "correlation": rng.uniform(0.9, 1, (LAYERS, 8)),
        "cka": rng.uniform(0.9, 1, LAYERS),
    }
    return conclude({"kl": kl, "loss": loss, "other_loss": loss + shift}, kinds, layers, seed)
