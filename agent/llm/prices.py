"""What tokens cost. No price is built in: they change, and a figure that is invented is worse than none.

A user gives the price of the run's model, from the provider's page, in US dollars a million tokens:
``input=3,output=15,cache_read=0.3,cache_write=3.75``. Without it tokens are counted, and dollars are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...tools.errors import UsageError
from .conversation import TokenUsage

MILLION = 1_000_000
ESTIMATED = TokenUsage(input=40_000, output=8_000, cache_read=24_000)
"""Tokens of one investigation, on the high side: the prompt's limit under test, and replies of a model that thinks."""


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens; what is read from or written to a cache costs like input unless it is given."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def of(self, usage: TokenUsage | None) -> float | None:
        """Dollars of one call; None when the server did not say what it took."""
        if usage is None:
            return None
        fresh = usage.input - usage.cache_read - usage.cache_write
        parts = (
            (fresh, self.input),
            (usage.cache_read, self.cache_read),
            (usage.cache_write, self.cache_write),
            (usage.output, self.output),
        )
        return sum(tokens * price for tokens, price in parts) / MILLION


def price_from(given: Mapping[str, float]) -> Price | None:
    """The price of a configuration's numbers; None when there are none."""
    if not given:
        return None
    read, write = given.get("cache_read", given["input"]), given.get("cache_write", given["input"])
    return Price(given["input"], given["output"], read, write)


def read_price(text: str) -> dict[str, float]:
    """``input=3,output=15`` as numbers; UsageError where it is off. An empty text is no price."""
    names = ("input", "output", "cache_read", "cache_write")
    found: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            raise UsageError(f"--price {text!r}: {part!r} is no NAME=DOLLARS; names are {', '.join(names)}") from None
    wrong = set(found) - set(names) or ({"input", "output"} - set(found) if found else set())
    if wrong or any(not 0 <= value < MILLION for value in found.values()):
        raise UsageError(
            f"--price {text!r}: give input=..,output=.. (and cache_read=..,cache_write=..), dollars a million"
        )
    return found
