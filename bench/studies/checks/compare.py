"""Compare: a model with itself has not changed; a planted change of a layer or a word is named."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch

from ....studies import StudyResult
from ....studies.behaviour.compare import (
    UNCHANGED,
    conclude,
    measure_layers,
    measure_predictions,
)
from ....studies.behaviour.compared_texts import KINDS, OTHER, SLICE, tokens_of, unpadded
from ....studies.measurements import Measured
from ....tools.subject.subject import Subject
from ...tiny_subject import WORDS, miniature
from ..registry import known_answer, null

DOCUMENTS, TOKENS = 24, 24
TEXTS = 120
"""Of a data set, in pairs."""
LAYERS = 4


def _texts(subject: Subject, seed: int) -> Measured:
    rng = np.random.default_rng(seed)
    words = [f" {word}" for word in WORDS.split()]
    ids = [subject.tokenize("".join(rng.choice(words, TOKENS))).ids for _ in range(DOCUMENTS)]
    return tokens_of(subject, ids, np.arange(DOCUMENTS))


def _compared(
    first: Subject, second: Subject, tokens: Measured, seed: int
) -> tuple[StudyResult, Measured, Measured]:
    pair, ids = (first, second), unpadded(tokens["ids"])
    predictions = measure_predictions(pair.__getitem__, ids)
    layers = measure_layers(pair.__getitem__, ids)
    return conclude(tokens, predictions, layers, seed), predictions, layers


def _with_other_word(first: Subject, word: str, seed: int) -> Subject:
    """The same subject with another vector for one word."""
    second = Subject(deepcopy(first.model), first.tokenizer, name="changed", revision="1" * 16)
    (number,) = first.tokenize(word).ids
    with torch.no_grad():
        noise = torch.randn(16, generator=torch.Generator().manual_seed(seed))
        second.model.get_input_embeddings().weight[number] += 2 * noise
    return second


def _supported(result: StudyResult, where: str) -> list[str]:
    claims = [c.claim for c in result.claims if c.verdict == "supported" and where in c.claim]
    return [claim.split(" (")[0] for claim in claims]


@known_answer("compare", "a model with itself: KL 0, CKA 1, every claim says that nothing changed")
def itself(seed: int) -> bool:
    subject = miniature(seed)
    result, predictions, layers = _compared(subject, subject, _texts(subject, seed), seed)
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
    result, _, layers = _compared(first, second, _texts(first, seed), seed)
    claim = result.claims[-1]
    changed = np.flatnonzero(layers["relative"].max(axis=0) > 1e-5).tolist()
    units = [row["name"] for row in result.rows if row["what"] == "unit"]
    named = f", layer {layer} (" in claim.claim and claim.verdict == "supported"
    return named and changed == [layer] and units == [f"mlp.{layer}.{neuron}"]


@known_answer("compare", "a change planted in the words of one slice: that slice alone is named")
def one_slice(seed: int) -> bool:
    first = miniature(seed)
    second = _with_other_word(first, " 1999", seed)
    result, _, _ = _compared(first, second, _texts(first, seed), seed)
    expected = "predictions after numbers changed more than after other tokens"
    return _supported(result, "after") == [expected]


@known_answer(
    "compare", "a word of one label's texts is changed: that label is named, no other slice"
)
def one_label(seed: int) -> bool:
    first = miniature(seed)
    rng = np.random.default_rng(seed)
    words = [f" {word}" for word in WORDS.split() if word != "1999"]
    is_dated = np.arange(DOCUMENTS) % 2 == 0
    ids: list[list[int]] = []
    for dated in is_dated:
        drawn = rng.choice(words, int(rng.integers(TOKENS // 2, TOKENS)))
        if dated:
            drawn[2:-1:3] = " 1999"
        ids.append(first.tokenize("".join(drawn)).ids)
    columns = {
        SLICE + "label": np.where(is_dated, "dated", "undated"),
        SLICE + "source": np.array(["a", "a", "b", "b"] * (DOCUMENTS // 4)),
        SLICE + "author": np.array(["rare"] * 3 + ["many"] * (DOCUMENTS - 3)),
    }
    tokens = {**tokens_of(first, ids, np.arange(DOCUMENTS)), **columns}
    result, _, _ = _compared(first, _with_other_word(first, " 1999", seed), tokens, seed)
    expected = "predictions in texts of label dated changed more than in other texts"
    left_out = [row["name"] for row in result.rows if row["what"] == "slices left out"]
    return _supported(result, "in texts") == [expected] and left_out[0].startswith("2 of fewer")


@null("compare", "changes that are the same in every slice and layer, and cost nothing on average")
def even_changes(seed: int) -> StudyResult:
    return _even_changes(seed, DOCUMENTS, {})


@null("compare", "changes that are the same in 12 slices of a data set with groups of texts")
def even_slices(seed: int) -> StudyResult:
    rng = np.random.default_rng(seed + 1000)
    values = {"label": "ab", "source": "abcd", "author": "abcdef"}
    columns = {SLICE + name: rng.choice(list(each), TEXTS) for name, each in values.items()}
    return _even_changes(seed, TEXTS, columns, per_group=2)


def _even_changes(seed: int, texts: int, columns: Measured, per_group: int = 1) -> StudyResult:
    rng = np.random.default_rng(seed)
    group = np.arange(texts) // per_group
    shape = (texts, TOKENS - 1)
    kl = rng.gamma(1, 0.1, shape) * rng.gamma(4, 0.25, (texts, 1))[group]
    loss = rng.gamma(4, 1, shape)
    shift = rng.normal(0, 0.05, (texts, 1))[group] + rng.normal(0, 0.2, shape)
    kind = rng.choice([*KINDS, OTHER], (texts, TOKENS))
    size = rng.gamma(4, 0.25, (texts, 1))[group]
    relative = size * rng.gamma(4, 0.25, (texts, LAYERS))
    layers = {
        "relative": relative,
        "correlation": rng.uniform(0.9, 1, (LAYERS, 8)),
        "cka": rng.uniform(0.9, 1, LAYERS),
    }
    tokens = {"kind": kind, "group": group, **columns}
    return conclude(tokens, {"kl": kl, "loss": loss, "other_loss": loss + shift}, layers, seed)
