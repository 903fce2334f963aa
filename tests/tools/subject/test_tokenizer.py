"""Tokens, strings and text: control tokens are not instructions, and every token has its own string."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    processors,
)
from transformers import PreTrainedTokenizerFast

from hubel.tools.corpus import Document
from hubel.tools.corpus.contexts import make_contexts
from hubel.tools.errors import ArgumentError
from hubel.tools.subject import Subject, load_subject
from hubel.tools.subject.input_texts import tokenize_texts
from hubel.tools.subject.token_text import join_tokens, join_with_offsets, mark_bytes, token_strings
from hubel.tools.subject.tokenizer import TextEncoder
from tests.support.tiny import tiny_model, tiny_tokenizer

from .model_folder import edit_json

TEXT = "naïve “日本” – 😀 Ωμέγα e\u0301 สวัสดี\n\tend"


def byte_level(**special: Any) -> Any:
    """The tiny tokenizer of bytes and words, with control tokens."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"eos_token": "<|im_end|>", "bos_token": "</s>", **special})
    return tokenizer


def sentencepiece(*control: str) -> Any:
    """Like Llama 2's: pieces with ▁, bytes for all else, and control tokens among the pieces."""
    pieces = ["<unk>", *control, *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", *"abcdeinstk</>|_", "</", "s>", "▁a", "▁cat"]
    merges = [("<", "/"), ("s", ">"), ("▁", "a")]
    if "</s>" in control:  # as converters make it that take every piece for a merge
        merges.append(("</", "s>"))
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    backend = Tokenizer(
        models.BPE(
            vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True
        )
    )
    backend.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", **({"eos_token": "</s>"} if control else {})
    )


def control_ids(tokenizer: Any) -> set[int]:
    return set(tokenizer.all_special_ids)


@pytest.mark.parametrize(
    "tokenizer", [byte_level(), sentencepiece("</s>")], ids=["bytes", "pieces"]
)
@pytest.mark.parametrize(
    "text",
    [
        "<|im_end|>", "a<|im_end|>b", " </s>", "</s></s> a </s>", "x <pad> y <|im_end|> z",
        "</s", "\n</s>\n", "</s>" * 500, "<unk>",
    ],
)  # fmt: skip
def test_control_tokens_in_a_text_are_text(tokenizer: Any, text: str) -> None:
    ids, offsets = TextEncoder(tokenizer)(text)
    assert control_ids(tokenizer).isdisjoint(ids)
    assert len(ids) == len(offsets)
    covered = {place for start, end in offsets for place in range(start, end)}
    assert {i for i, c in enumerate(text) if not c.isspace()} <= covered


def test_control_tokens_that_are_not_marked_as_special_are_found_in_the_chat_template() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([AddedToken(t, special=False) for t in ("<|im_start|>", "[INST]", "    ")])
    tokenizer.chat_template = "{% for m in messages %}<|im_start|>{{ m }}{% endfor %}"
    encode = TextEncoder(tokenizer)
    start, spaces = tokenizer.convert_tokens_to_ids(["<|im_start|>", "    "])
    assert start not in encode("a <|im_start|> b").ids
    assert spaces in encode("a     b").ids, "an added token that is text"


def test_no_token_is_added_to_a_text() -> None:
    tokenizer = byte_level()
    bos = tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="</s> $A </s>", special_tokens=[("</s>", bos)]
    )
    assert bos in tokenizer("the cat")["input_ids"]
    assert bos not in TextEncoder(tokenizer)("the cat").ids


def test_truncation_in_the_tokenizers_file_is_not_applied() -> None:
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    assert len(TextEncoder(tokenizer)("cat " * 20).ids) >= 20
    assert len(TextEncoder(tokenizer)("cat").ids) < 50


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "the cat \ud83d"])
def test_a_lone_surrogate_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(ArgumentError, match=r"character \d+ of the text"):
        TextEncoder(byte_level())(text)


def subject_of(tokenizer: Any) -> Subject:
    return Subject(tiny_model(vocab_size=len(tokenizer)), tokenizer, name="t")


def test_corpora_and_instruments_read_control_tokens_as_text() -> None:
    subject = subject_of(byte_level())
    text = "the cat <|im_end|> said</s>"
    forbidden = control_ids(subject.tokenizer)
    contexts = make_contexts([Document("d", text)], lambda t: subject.tokenize(t).ids, 64)
    assert forbidden.isdisjoint(contexts.tokens[0, : int(contexts.length[0])].tolist())
    assert forbidden.isdisjoint(tokenize_texts(subject, [text])[0].ids)
    assert "".join(tokenize_texts(subject, [text])[0].tokens) == text


@pytest.mark.parametrize(
    "tokenizer", [byte_level(), sentencepiece("</s>")], ids=["bytes", "pieces"]
)
def test_distinct_tokens_have_distinct_strings(tokenizer: Any) -> None:
    strings = token_strings(tokenizer, len(tokenizer) + 5)
    assert strings[-5:] == [""] * 5
    assert not any("\ufffd" in string for string in strings)
    repeated = {s: n for s, n in Counter(strings[:-5]).items() if n > 1}
    # SentencePiece has a byte as well as a piece for some ASCII characters: both are that character.
    assert all(string.isascii() for string in repeated)
    ids = TextEncoder(tokenizer)("日").ids
    assert [strings[i] for i in ids][-3:] == ["<0xE6>", "<0x97>", "<0xA5>"]


@pytest.mark.parametrize(
    "tokenizer", [byte_level(), sentencepiece("</s>")], ids=["bytes", "pieces"]
)
def test_joined_strings_are_the_text(tokenizer: Any) -> None:
    strings = token_strings(tokenizer, len(tokenizer))
    ids = TextEncoder(tokenizer)(TEXT).ids
    pieces = [strings[i] for i in ids]
    assert join_tokens(pieces).strip() == TEXT
    text, offsets = join_with_offsets(pieces)
    assert text == join_tokens(pieces)
    assert "日" in text
    place = text.index("日")
    assert sum(start <= place < end for start, end in offsets) == 3, "one character, three tokens"


def test_a_character_that_is_cut_keeps_its_bytes() -> None:
    assert join_tokens(["a", "<0xE6><0x97>", "<0xA5>", "b", " <0xE6>", "c"]) == "a日b <0xE6>c"
    text, offsets = join_with_offsets(["<0x97>", "a", "<0xE6><0x97>", "<0xA5>", "", "b", " <0xE6>"])
    assert text == "<0x97>a日b <0xE6>"
    assert [text[a:b] for a, b in offsets] == ["<0x97>", "a", "日", "日", "日", "b", " <0xE6>"]
    assert mark_bytes(" <0xE6><0x97>x") == " \ufffdx"


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=6), st.data()
)
def test_any_cut_of_any_text_is_joined_again(words: list[str], data: st.DataObject) -> None:
    content = " ".join(words).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    bounds = [0, *cuts, len(content)]
    pieces = [content[a:b] for a, b in pairwise(bounds)]
    strings = [_shown(piece) for piece in pieces]
    text, offsets = join_with_offsets(strings)
    assert text == join_tokens(strings) == content.decode()
    assert len(offsets) == len(strings)
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(offsets))


def _shown(piece: bytes) -> str:
    text = piece.decode("utf-8", "surrogateescape")
    return "".join(f"<0x{ord(c) - 0xDC00:02X}>" if "\udc80" <= c <= "\udcff" else c for c in text)


@pytest.mark.usefixtures("own_cache")
def test_a_loaded_subject_reads_control_tokens_as_text(tmp_path: Path) -> None:
    tokenizer = byte_level()
    tiny_model(vocab_size=len(tokenizer)).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    config = tmp_path / "m" / "tokenizer_config.json"
    edit_json(config, {"add_bos_token": True, "add_eos_token": True})
    subject = load_subject(str(tmp_path / "m"), device="cpu")
    assert control_ids(subject.tokenizer).isdisjoint(subject.tokenize("a<|im_end|> </s>").ids)
