"""Where a unit stands as seen from another: all that is said of layers to who must not know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ..subject import Unit

Depth = Literal["earlier", "same", "later"]
SAID: dict[Depth, str] = {
    "earlier": "earlier in the model",
    "same": "beside it",
    "later": "later in the model",
}


def depth_of(other: Unit, unit: Unit) -> Depth:
    """Of the other, as seen from the unit."""
    if other.layer == unit.layer:
        return "same"
    return "earlier" if other.layer < unit.layer else "later"
