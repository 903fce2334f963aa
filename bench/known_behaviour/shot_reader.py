"""A subject that answers a question with what followed the same question before, and else guesses.

Two heads do induction, as in the tests' subject: the first notes the token before each token, the
second looks for the present token among the notes and copies the token that has it. Where nothing
in the text answers the question, attention is spread out and all words read get about the same logit.
With shots that show the question it is always right; with wrong answers in the shots it repeats
them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...tools.subject.subject import Subject
from ..tiny_subject import word_tokenizer
from .hand_made import FIRST_FREE, balance, silent_gpt2

SHARP = 80.0
"""Logit of attention where it should look; elsewhere 0."""
LOUD = 12.0
"""Logit of the copied token; the others have 0."""


def shot_reader(words: Sequence[str], positions: int = 256) -> Subject:
    """Make the subject; questions and answers are single words of the list."""
    tokenizer = word_tokenizer(" ".join(words))
    n = len(words)
    token = slice(FIRST_FREE, FIRST_FREE + n)
    note = slice(token.stop, token.stop + n)
    out = slice(note.stop, note.stop + n)
    place = slice(out.stop, out.stop + positions)
    model = silent_gpt2(len(tokenizer), 3 * n + positions, layers=2, positions=positions)
    size = model.config.n_embd
    identity, steps = torch.eye(n).double(), torch.eye(positions).double()
    first, second = (layer.attn for layer in model.transformer.h)
    with torch.no_grad():
        vocabulary = tokenizer.get_vocab()
        for column, word in enumerate(words):
            for form in (word, f"Ġ{word}"):
                model.transformer.wte.weight[vocabulary[form], token.start + column] = 1.0
            model.lm_head.weight[vocabulary[f"Ġ{word}"], out.start + column] = 1.0
        model.transformer.wpe.weight[:, place] = steps
        # scores are divided by sqrt(size): the queries make up for it
        sharp = SHARP * size**0.5
        # the query of place p is p, the key of place p is p + 1
        first.c_attn.weight[place, :positions] = sharp * steps
        first.c_attn.weight[place, size : size + positions] = steps.roll(1, 1).triu()
        first.c_attn.weight[token, 2 * size : 2 * size + n] = identity
        first.c_proj.weight[:n, note] = identity
        second.c_attn.weight[token, :n] = sharp * identity
        second.c_attn.weight[note, size : size + n] = identity
        second.c_attn.weight[token, 2 * size : 2 * size + n] = identity
        second.c_proj.weight[:n, out] = LOUD * identity
    balance(model)
    return Subject(model, tokenizer, name="shot-reader", revision="0" * 16)
