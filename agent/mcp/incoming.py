"""Messages of MCP clients, made safe before the SDK reads them.

The SDK drops a message that it cannot parse, and its client waits forever. So each message is read
here first. What cannot be read is replaced by a request of the same id for a method whose name says
what is wrong; the SDK answers that it does not know the method.
"""

from __future__ import annotations

import json
import re
from typing import BinaryIO

from ...tools.files.untrusted_text import printable

MAX_MESSAGE = 8 << 20
"""Bytes of a message; the largest honest one, the texts of a probe, has 2 MB."""
MAX_DEPTH = 60
"""Levels of a message's JSON; arguments may have eight."""
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_ID = re.compile(rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{1,200}")')
_HALF = re.compile(
    # A high half without the low half that follows it, or a low half alone, as JSON spells them.
    r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)


def readable(message: bytes) -> bytes:
    """A message that the SDK can parse.

    It is the same message, with half characters replaced, or a request that says what is wrong with it.
    """
    if not message.strip():
        return message
    if len(message) > MAX_MESSAGE:
        return _instead(message, f"a message of more than {MAX_MESSAGE:,} bytes")
    text = _HALF.sub(r"\1\\ufffd", message.decode("utf-8", "replace"))
    if _depth(text) > MAX_DEPTH:
        return _instead(message, f"JSON that is nested more than {MAX_DEPTH} deep")
    try:
        json.loads(text, object_pairs_hook=_without_duplicates)
    except ValueError as error:
        return _instead(message, f"JSON ({error})")
    return text.encode()


class MessageLines:
    """Lines of a binary stream, each a readable message; longer ones are never held whole."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def readline(self) -> str:
        """The next message, with its line end; "" at the end."""
        line = self._stream.readline(MAX_MESSAGE + 1)
        if len(line) > MAX_MESSAGE:
            rest = line
            while rest and not rest.endswith(b"\n"):
                rest = self._stream.readline(1 << 20)
        return readable(line).decode("utf-8", "replace").rstrip("\n") + "\n" if line else ""


def _instead(message: bytes, what: str) -> bytes:
    """A request with the message's id for a method that says what is wrong with the message."""
    id_match = _ID.search(message[:4096]) or _ID.search(message[-4096:])
    if id_match is None:
        return message[:4096]  # a notification, or not a message: no client waits for an answer
    method = f"cannot read {printable(what)[:200]}"
    return (
        b'{"jsonrpc":"2.0","id":' + id_match[1] + b',"method":' + json.dumps(method).encode() + b"}"
    )


def _depth(text: str) -> int:
    """The deepest nesting, with brackets inside strings left out."""
    depth = deepest = 0
    for match in _STRUCTURE.finditer(text):
        if match[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in "]}":
            depth -= 1
        if deepest > MAX_DEPTH:
            break
    return deepest


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object; ValueError if it has a key twice, of which readers take one or the other."""
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:60]!r} is given twice")
    return value
