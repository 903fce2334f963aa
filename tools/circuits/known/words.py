"""The tokenizer of a compiled program: a start token, letters, and one token an answer."""

from __future__ import annotations

from typing import Any

from .program import Program


def tokenizer_of(program: Program) -> Any:
    """Words apart at spaces: `<start> a b c`, answers `=0`, `=1`."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    assert program.result is not None  # placed
    letters = [chr(ord("a") + index) for index in range(program.letters)]
    words = ["<start>", *letters, *(f"={answer}" for answer in range(program.result.size))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<start>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<start>")
