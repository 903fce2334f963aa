"""A transformer of two layers, set by hand, that does induction and nothing else: its circuit and
roles are known.

head.0.0 looks at the previous token and notes it in a part of the stream of its own; head.1.0 looks
for the present token among the notes, and copies the token that stands there into the part that the
unembedding reads. The other heads and the MLPs are silent.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from hubel.tools.subject.subject import Subject
from tests.support.tiny import WORDS, tiny_tokenizer

N_WORDS, N_POSITIONS = 24, 16
TOKEN, NOTE, OUT, PLACE = (
    slice(0, N_WORDS),
    slice(N_WORDS, 2 * N_WORDS),
    slice(2 * N_WORDS, 3 * N_WORDS),
    slice(3 * N_WORDS, 3 * N_WORDS + N_POSITIONS),
)
D_MODEL, HEAD = 96, 48
SHARP = 60.0
"""Times the logits of attention: the right position then gets nearly all of it."""
ROW = 5
"""Different words of a prompt before it repeats itself."""


def induction_subject() -> Subject:
    """The model, with the tests' tokenizer."""
    tokenizer = tiny_tokenizer()
    sizes: dict[str, Any] = {
        "n_embd": D_MODEL,
        "n_layer": 2,
        "n_head": 2,
        "n_inner": 8,
        "n_positions": N_POSITIONS,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    config = GPT2Config(vocab_size=len(tokenizer), tie_word_embeddings=False, **sizes)
    model: Any = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "ln_" in name and name.endswith("weight") else 0.0)
        words = [
            tokenizer(f" {word}", add_special_tokens=False)["input_ids"][0] for word in _words()
        ]
        unit = torch.eye(D_MODEL)
        model.transformer.wte.weight[words] = unit[TOKEN][: len(words)]
        model.transformer.wpe.weight.copy_(unit[PLACE])
        model.lm_head.weight[words] = unit[OUT][: len(words)]
        _looks_back(model)
        _induces(model)
    return Subject(model, tokenizer, name="induction-by-hand", revision="0" * 16)


def save_loadable(folder: Path) -> str:
    """Write the model to a folder, with neurons that do something, in a part that none reads.

    The self-test at load asks for such neurons.
    """
    subject = induction_subject()
    with torch.no_grad():
        for block in subject.model.transformer.h:
            block.mlp.c_fc.bias.fill_(1)
            block.mlp.c_proj.weight[:, -1] = 0.01
    subject.model.save_pretrained(folder)
    subject.tokenizer.save_pretrained(folder)
    return str(folder)


def _looks_back(model: Any) -> None:
    """head.0.0: the query of place p is p, the key of place p is p + 1; it writes the token there as a note."""
    attention = model.transformer.h[0].attn
    query, key, value = _parts(attention.c_attn.weight)
    query[PLACE, :N_POSITIONS] = SHARP * torch.eye(N_POSITIONS)
    key[PLACE, 1:N_POSITIONS] = torch.eye(N_POSITIONS)[:, : N_POSITIONS - 1]
    value[TOKEN, :N_WORDS] = torch.eye(N_WORDS)
    attention.c_proj.weight[:N_WORDS, NOTE] = torch.eye(N_WORDS)


def _induces(model: Any) -> None:
    """head.1.0: the query is the token, the key the note; it writes the token there where the unembedding reads."""
    attention = model.transformer.h[1].attn
    query, key, value = _parts(attention.c_attn.weight)
    query[TOKEN, :N_WORDS] = SHARP * torch.eye(N_WORDS)
    key[NOTE, :N_WORDS] = torch.eye(N_WORDS)
    value[TOKEN, :N_WORDS] = torch.eye(N_WORDS)
    attention.c_proj.weight[:N_WORDS, OUT] = 8 * torch.eye(N_WORDS)


def _parts(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Head 0's columns of queries, keys and values."""
    return tuple(weight[:, start : start + HEAD] for start in (0, D_MODEL, 2 * D_MODEL))  # pyright: ignore[reportReturnType]


def _words() -> list[str]:
    return [str(word) for word in sorted(set(WORDS.split()))][:N_WORDS]


def write_pairs(path: Path, n: int = 60) -> Path:
    """A user's file of pairs: a row of words, the row again up to the answer; in the twin b stands
    before e.

    Odd and even pairs have words of their own, so that held-out prompts are new.
    """
    rng = random.Random(0)
    words = _words()
    rows = [_pair(rng, words[0::2] if at % 2 else words[1::2]) for at in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _pair(rng: random.Random, words: list[str]) -> dict[str, object]:
    a, b, c, d, e = rng.sample(words, ROW)
    texts = [
        "".join(f" {word}" for word in [*row, a, b]) for row in ((a, b, c, d, e), (a, d, c, b, e))
    ]
    return {"clean": texts[0], "corrupted": texts[1], "answer": [f" {c}"], "foil": [f" {e}"]}
