"""Tokenizers that split at spaces: for a compiled program, its start token, letters and answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .program import Program


def tokenizer_of(program: Program) -> Any:
    """`<start> a b c`, answers `=0`, `=1`."""
    assert program.result is not None  # placed
    letters = [chr(ord("a") + index) for index in range(program.letters)]
    return word_level(
        ["<start>", *letters, *(f"={answer}" for answer in range(program.result.size))]
    )


def word_level(words: Sequence[str]) -> Any:
    """A tokenizer of these words; the first one is also the unknown and the padding token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=words[0]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=words[0])
