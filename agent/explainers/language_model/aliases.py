"""Blinding: a language model may have read about a unit by its number, so it never sees an address.

The target is U, every other unit U1, U2, ... in the order in which they come up in its
investigation; a place such as a whole layer is S1, S2, ... A side keeps its sign. What the model
writes is translated back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ....tools.errors import ArgumentError
from ....tools.subject.address import Unit

_ADDRESS = re.compile(
    r"\b(?P<unit>(?:mlp|head)\.\d+\.\d+|resid\.\d+@[^\s,:;\"')\]+-]+)"
    r"|\b(?P<place>(?:mlp|mlp_in|head|attn|resid|stream|z)\.\d+)"
)
_LAYER = re.compile(r"\blayers?[ =:]*\d+(?:(?:-| to |, )\d+)*", re.IGNORECASE)
_ALIAS = re.compile(r"(?P<name>[US]\d*)(?P<side>[+-]?)")


class Aliases:
    """The aliases of one investigation. The same texts in the same order give the same aliases.

    Args:
        hidden: further names that must not be seen, the subject's.
    """

    def __init__(self, unit: Unit, hidden: Sequence[str] = ()) -> None:
        address = str(unit.unsided)
        self._alias, self._address = {address: "U"}, {"U": address}
        self._hidden = [re.compile(re.escape(name), re.IGNORECASE) for name in hidden if name]

    def hide(self, text: str) -> str:
        """The text with an alias for every address, and without layers and names."""
        text = _ADDRESS.sub(lambda match: self._alias_of(match[0], bool(match["unit"])), text)
        text = _LAYER.sub("a layer", text)
        for name in self._hidden:
            text = name.sub("the model", text)
        return text

    def reveal(self, value: Any) -> Any:
        """The address for an alias, in a string or in lists of strings.

        Raises:
            ArgumentError: an alias that did not come up; the message lists those that did.
        """
        if isinstance(value, list):
            return [self.reveal(item) for item in value]
        match = _ALIAS.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or match["name"] not in self._address:
            raise ArgumentError(
                f"no unit is called {value!r} here; known are {', '.join(self._address)}, "
                "with + or - after it for one side"
            )
        return self._address[match["name"]] + match["side"]

    def _alias_of(self, address: str, is_unit: bool) -> str:
        if address not in self._alias:
            letter = "U" if is_unit else "S"
            others = [a for a in self._address if a.startswith(letter) and a != "U"]
            alias = f"{letter}{len(others) + 1}"
            self._alias[address], self._address[alias] = alias, address
        return self._alias[address]
