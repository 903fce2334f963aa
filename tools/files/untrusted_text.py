"""Hostile text made visible, for pages and terminals: what they would obey instead of showing
(control characters, direction changes, zero-width ones, lone surrogates) is replaced by something
that can be seen.
"""

from __future__ import annotations

import re

_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    """Text in which nothing is hidden: ⏎, ⇥, and for anything else its code point."""
    return _INVISIBLE.sub(lambda match: _picture(match[0]), text)


def _picture(character: str) -> str:
    return {"\n": "⏎", "\t": "⇥"}.get(character) or f"‹U+{ord(character):04X}›"
