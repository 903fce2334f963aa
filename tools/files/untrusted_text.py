"""Text of strangers (a corpus, a vocabulary, a model's reply) made safe to print.

A terminal or a page would obey some characters instead of showing them: control characters,
changes of direction, zero-width characters, lone surrogates. The functions here replace them by
something that can be seen. What is printed is also cleared of secrets.
"""

from __future__ import annotations

import re

from .secrets import mask

_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_HALF = re.compile("[\ud800-\udfff]")


def whole_characters(text: str) -> str:
    """Text with halves of characters replaced: JSON can spell them, and no file can hold them."""
    return _HALF.sub("\ufffd", text)


def escape_control(text: str) -> str:
    r"""Text with control and direction-changing characters as escapes (`\x1b`, `\n`), for terminals."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def printable(text: str) -> str:
    """Text for a terminal: without secrets, and without what it would obey, except line ends."""
    return "\n".join(map(escape_control, mask(text).split("\n")))


def printable_json(text: str) -> str:
    """The same of JSON, whose strings keep their values: control characters are escaped as in JSON."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", mask(text))


def show_hidden(text: str) -> str:
    """Text with every invisible character as a sign (⏎, ⇥) or as its code point, for pages."""
    return _HIDDEN.sub(lambda match: _sign(match[0]), text)


def _sign(character: str) -> str:
    return {"\n": "⏎", "\t": "⇥"}.get(character) or f"‹U+{ord(character):04X}›"
