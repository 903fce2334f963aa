"""Neurons that fire on known words, so that explaining them is the same work in a subject of any size.

The neurons of a random subject have little to find, and what a search costs depends on what it
finds. So each subject gets the same detectors:

1. Rules of the project's suite (`RULES`) are matched with each token of the vocabulary by itself.
   Each detector adds up some of them, which gives each token a value, and some noise.
2. Each detector has a dimension of the embedding to itself, which holds these values; one more
   dimension is 1 for every token. The rest stays random, and all tokens have the same norm.
3. A detector's gate reads its dimension, and its up projection the constant one. Layers do not
   write to these dimensions, and little to the others, so that a detector does the same in any
   layer.
4. The detectors are spread evenly over the layers, so that their passes stop at like depths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ...tools.subject.planted_units.suite import read_suite
from ..planted import PROJECT_SUITE
from .sizes import SubjectSize

RULES = (
    *("word-class/articles", "word-class/prepositions", "word-class/subject-pronouns"),
    *("word-class/forms-of-be", "morphology/ing", "morphology/past", "morphology/re-prefix"),
    *("token-set/number-words", "digits/numbers", "punctuation/commas"),
    *("punctuation/sentence-end", "polysemantic/and-or-years"),
)
"""Units of the suite that one token decides, and that 2,000 tokens have at least 20 times."""
DETECTORS, RULES_OF_EACH = 17, 9
"""With so many rules, formulas are about as long as they may be at any length of text. With one, a
longer text finds more, and needs a tagger where a shorter one does not: that made half of the cost."""
NOISE = 0.05
"""Standard deviation over tokens, of activations of 1 to 3."""
HELD = 0.1
"""What the embedding holds of a value, so that all of them are a small part of its norm."""
STEEPNESS = 10.0
"""Of a gate: SiLU of ten times a value is nearly ten times it where it is above 0, and 0 below."""
WRITES = 0.1
"""What layers write, as a share of what random ones write: 30 of them change the norm by 2 %."""
SEED = 0


def _matches_any(patterns: Sequence[re.Pattern[str]], strings: Sequence[str]) -> list[bool]:
    return [any(pattern.search(string) for pattern in patterns) for string in strings]


def token_values(strings: Sequence[str]) -> Float[np.ndarray, "detector token"]:
    """The activation of each detector on each token of a vocabulary; negative ones become 0 (1)."""
    units = {unit.id: unit for unit in read_suite(PROJECT_SUITE).units}
    patterns = [[part.pattern for part in units[rule].parts] for rule in RULES]
    matches = np.array([_matches_any(of_rule, strings) for of_rule in patterns], dtype=float)
    rng = np.random.default_rng(SEED)
    values = NOISE * rng.standard_normal((DETECTORS, len(strings)))
    for row in values:
        rules = rng.choice(len(RULES), RULES_OF_EACH, replace=False)
        row += rng.uniform(1.0, 3.0, RULES_OF_EACH) @ matches[rules]
    return values


def detector_addresses(size: SubjectSize) -> list[str]:
    """Where the detectors are in a subject of a size (4)."""
    layers = (round(i * (size.layers - 1) / (DETECTORS - 1)) for i in range(DETECTORS))
    return [f"mlp.{layer}.{i}" for i, layer in enumerate(layers)]


@torch.no_grad()
def plant_detectors(model: Any, size: SubjectSize, strings: Sequence[str]) -> None:
    """Turn some neurons of a random llama into detectors (2, 3).

    Args:
        strings: of each token of its vocabulary.
    """
    values = torch.tensor(token_values(strings), dtype=torch.float32)
    read = 1 + len(values)
    embedding, decoder = model.get_input_embeddings().weight, model.model
    embedding[:, 0], embedding[:, 1:read] = 1.0, HELD * values.T
    rest = (size.width - embedding[:, :read].square().sum(1)).clamp(min=0.0).sqrt()
    embedding[:, read:] *= (rest / embedding[:, read:].norm(dim=1))[:, None]
    decoder.norm.weight.fill_(model.config.initializer_range)  # logits of the usual size
    for layer in decoder.layers:
        for written in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
            written *= WRITES
            written[:read] = 0.0
    for i, address in enumerate(detector_addresses(size)):
        mlp = decoder.layers[int(address.split(".")[1])].mlp
        mlp.gate_proj.weight[i], mlp.up_proj.weight[i] = 0.0, 0.0
        mlp.gate_proj.weight[i, 1 + i] = STEEPNESS / HELD
        mlp.up_proj.weight[i, 0] = 1 / STEEPNESS
