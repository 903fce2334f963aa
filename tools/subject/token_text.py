"""Tokens as strings, and strings joined to text.

A token of a byte-level tokenizer may end within a character. Bytes that are not a whole character
are written as <0xE2>, so that distinct tokens have distinct strings:

    "’" as one token                 ’
    "日" as two tokens               <0xE6><0x97>   <0xA5>

`join_tokens` makes characters of such bytes again. Needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

_BYTE = re.compile(r"<0x([89A-F][0-9A-F])>")
_LONE = re.compile("[\udc80-\udcff]")
_REPLACEMENT = "\ufffd"


class JoinedText(NamedTuple):
    """A text, and the span of characters that each of its tokens covers, in whole or in part."""

    text: str
    offsets: list[tuple[int, int]]


def join_tokens(strings: Iterable[str]) -> str:
    """The text of consecutive tokens; bytes that are not a whole character remain as <0xE2>."""
    joined = "".join(strings)
    return _show(_bytes_of(joined)) if "<0x" in joined else joined


def join_with_offsets(strings: Sequence[str]) -> JoinedText:
    """The text of consecutive tokens, with each one's span.

    A character that is spread over several tokens is in the span of each.
    """
    if not any("<0x" in string for string in strings):
        ends = list(accumulate(map(len, strings)))
        return JoinedText("".join(strings), list(zip([0, *ends][:-1], ends, strict=True)))
    encoded = [_bytes_of(string) for string in strings]
    text = _decode(b"".join(encoded))
    # For each byte the character that it belongs to, in the text as it is shown.
    owner, shown, place = list[tuple[int, int]](), list[str](), 0
    for character in text:
        string = _show_character(character)
        n_bytes = len(character.encode("utf-8", "surrogateescape"))
        owner += [(place, place + len(string))] * n_bytes
        shown.append(string)
        place += len(string)
    offsets: list[tuple[int, int]] = []
    start = 0
    for piece in encoded:
        end = start + len(piece)
        if piece:
            offsets.append((owner[start][0], owner[end - 1][1]))
        else:  # an unknown id: as its neighbour, so that starts and ends never fall
            offsets.append(offsets[-1] if offsets else (0, 0))
        start = end
    return JoinedText("".join(shown), offsets)


def mark_bytes(string: str) -> str:
    """A token's string with one U+FFFD for each run of bytes that are not a whole character."""
    return re.sub(f"(?:{_BYTE.pattern})+", _REPLACEMENT, string) if "<0x" in string else string


def token_strings(tokenizer: Any, n_ids: int) -> list[str]:
    """The text of every token id, as it reads after another token; "" for unknown ids."""
    # Each token is decoded after an anchor, since a SentencePiece decoder drops the space of a
    # text's first token.
    backend = tokenizer.backend_tokenizer
    anchor: int = tokenizer("a", add_special_tokens=False)["input_ids"][0]
    prefix = backend.decode([anchor], skip_special_tokens=False)
    n_known = min(n_ids, max(tokenizer.get_vocab().values()) + 1)
    pairs = [[anchor, token] for token in range(n_known)]
    decoded = backend.decode_batch(pairs, skip_special_tokens=False)
    strings = [text.removeprefix(prefix) for text in decoded]
    is_byte_level = "ByteLevel" in repr(backend.decoder)
    for token, string in enumerate(strings):
        if _REPLACEMENT in string:
            strings[token] = _with_bytes(backend.id_to_token(token), string, is_byte_level)
    return strings + [""] * (n_ids - n_known)


def _with_bytes(piece: str, decoded: str, is_byte_level: bool) -> str:
    """A token that does not decode to whole characters, with its bytes."""
    if is_byte_level:
        if all(character in _BYTE_OF for character in piece):
            return _show(bytes(_BYTE_OF[character] for character in piece))
    elif _BYTE.fullmatch(piece):  # the byte fallback of SentencePiece
        return piece
    return decoded


def _byte_alphabet() -> dict[str, int]:
    """The characters with which byte-level tokenizers write the 256 bytes.

    A printable byte of Latin-1 is that character; the others are the characters from 256 on.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + i): byte for i, byte in enumerate(others)
    }


_BYTE_OF = _byte_alphabet()


def _bytes_of(string: str) -> bytes:
    lone = _BYTE.sub(lambda match: chr(0xDC00 + int(match[1], 16)), string)
    return lone.encode("utf-8", "surrogateescape")


def _decode(content: bytes) -> str:
    """Text in which bytes that are not a character are lone surrogates, as Python writes them."""
    return content.decode("utf-8", "surrogateescape")


def _show(content: bytes) -> str:
    return _LONE.sub(lambda match: _show_character(match[0]), _decode(content))


def _show_character(character: str) -> str:
    return f"<0x{ord(character) - 0xDC00:02X}>" if _LONE.match(character) else character
