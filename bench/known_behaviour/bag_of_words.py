"""A subject that is linear in the counts of words and blind to their order and case.

Its logit of a next word is that word's bias plus the mean of the weights of all tokens read so far:
uniform attention in one layer moves each token's feature to where the unembedding reads. What
follows is known exactly: no reordering changes anything, the effect of a swap at fixed length is
its first-order effect, and the words that matter are those with a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ...tools.subject.subject import Subject
from ..tiny_subject import word_tokenizer
from .hand_made import CONSTANT, FIRST_FREE, balance, silent_gpt2

Weights = Mapping[str, Mapping[str, float]]


def bag_of_words(
    weights: Weights,
    *,
    words: Sequence[str] = (),
    bias: Mapping[str, float] | None = None,
    name: str = "bag-of-words",
) -> Subject:
    """Make the subject.

    Args:
        weights: word of the text to next word to weight; nats, if the text were that word alone.
        words: more words that are one token each, without a weight.
        bias: next word to what is added to its logit whatever the text is.
    """
    bias = bias or {}
    outputs = sorted({out for row in weights.values() for out in row} | set(bias))
    vocabulary = sorted({*weights, *words, *outputs})
    tokenizer = word_tokenizer(
        " ".join(dict.fromkeys(form for w in vocabulary for form in _cases(w)))
    )
    n_in, n_out = len(weights), len(outputs)
    read = slice(FIRST_FREE, FIRST_FREE + n_in)
    written = slice(read.stop, read.stop + n_out)
    model = silent_gpt2(len(tokenizer), n_in + n_out)
    size = model.config.n_embd
    matrix = torch.tensor([[row.get(out, 0.0) for out in outputs] for row in weights.values()])
    attention = model.transformer.h[0].attn
    with torch.no_grad():
        for feature, word in enumerate(weights):
            for token in _forms(tokenizer, word):
                model.transformer.wte.weight[token, FIRST_FREE + feature] = 1.0
        attention.c_attn.weight[read, 2 * size : 2 * size + n_in] = torch.eye(n_in).double()
        attention.c_proj.weight[:n_in, written] = matrix.double()
        for place, out in enumerate(outputs):
            (token,) = tokenizer(f" {out}", add_special_tokens=False)["input_ids"]
            model.lm_head.weight[token, written.start + place] = 1.0
            model.lm_head.weight[token, 0] = bias.get(out, 0.0) / CONSTANT
    balance(model)
    return Subject(model, tokenizer, name=name, revision="0" * 16)


def _cases(word: str) -> tuple[str, ...]:
    return word, word.capitalize(), word.upper()


def _forms(tokenizer: object, word: str) -> list[int]:
    """Ids of the word in each case, with and without a space before it."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()  # pyright: ignore[reportAttributeAccessIssue]
    return [vocabulary[space + form] for form in _cases(word) for space in ("", "Ġ")]
