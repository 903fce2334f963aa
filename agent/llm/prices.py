"""What tokens cost, in US dollars per million.

An unknown price stays unknown, since a wrong figure is worse than none. Prices come from:

1. ``--price input=3,output=15,cache_read=0.3,cache_write=3.75`` comes first; ``batch=0.5`` is the
   share of it that an answer in a batch costs.
2. A user's own file: HUBEL_PRICES, or ``hubel/prices.toml`` in the configuration directory.
3. The shipped file (`prices.toml`): few models, each with a source and a date, on the provider's own
   server. A table of all models (genai-prices) would be stale in most entries, with no date to see it.

If none has the model, tokens are counted and dollars are null.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ...tools.errors import UsageError
from ...tools.files.settings_file import read_settings_file
from ..runlog.model_config import BudgetConfig, ModelConfig
from .conversation import TokenUsage

NAMES = ("input", "output", "cache_read", "cache_write", "batch")
BATCH_SHARE = 0.5
"""What both providers ask for an answer in a batch, of its usual price (read 2026-11)."""
SHIPPED = Path(__file__).parent / "prices.toml"
ENTRY_KEYS = ("model", *NAMES, "date", "source")
MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens; cache reads and writes default to the price of input."""

    input: float
    output: float
    cache_read: float
    cache_write: float

    def of(self, usage: TokenUsage | None) -> float | None:
        """Dollars of one call; None if the server did not count its tokens."""
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

    def times(self, share: float) -> Price:
        """A share of the price."""
        prices = (self.input, self.output, self.cache_read, self.cache_write)
        return Price(*(share * price for price in prices))


def price_from(numbers: Mapping[str, float]) -> Price | None:
    """The price in a configuration; None if it is not known."""
    if not numbers:
        return None
    input = numbers["input"]
    return Price(
        input,
        numbers["output"],
        numbers.get("cache_read", input),
        numbers.get("cache_write", input),
    )


def batch_share(model: ModelConfig) -> float:
    """What an answer in a batch costs, of its usual price.

    Both providers ask half. What another server asks is not known, so all of it is counted, unless
    the price says otherwise.
    """
    return model.price.get("batch", 1.0 if model.base_url else BATCH_SHARE)


def price_of(model: ModelConfig, *, batch: bool = False) -> Price | None:
    """The price of a model's answers, of those in batches if `batch`; None if it is not known."""
    price = price_from(model.price)
    return price.times(batch_share(model)) if price and batch else price


def check_dollars(budget: BudgetConfig, models: Mapping[str, ModelConfig]) -> None:
    """Raise UsageError for a limit in dollars on a language model whose price is not known.

    Args:
        models: by the part before ``price`` in the name of the option that gives the price.
    """
    if not budget.run.get("usd") and not budget.target.get("usd"):
        return
    for prefix, model in models.items():
        if model.is_language_model and not model.price:
            raise UsageError(
                f"dollars of {model.name} cannot be limited without its price: give --{prefix}price "
                "input=..,output=.. (dollars a million tokens), or limit calls or tokens"
            )


class KnownPrice(NamedTuple):
    """A price from a file, and where the file has it from."""

    price: dict[str, float]
    origin: str


def known_price(model: str, base_url: str = "") -> KnownPrice | None:
    """The price of ``provider:MODEL`` from the files; None where they have none.

    Args:
        base_url: of the model's server; the shipped file is about the providers' own.

    Raises:
        UsageError: the user's file cannot be read.
    """
    own = _own_file()
    files = [own] if own.is_file() else []
    if os.environ.get("HUBEL_PRICES") and not files:
        raise UsageError(f"HUBEL_PRICES names {str(own)!r}, and there is no such file")
    files += [] if base_url else [SHIPPED]
    for file in files:
        for entry in _entries(file):
            if entry.get("model") == model:
                return _as_price(entry, file)
    return None


def shipped_prices() -> dict[str, KnownPrice]:
    """The price of each model in the shipped file."""
    return {entry["model"]: _as_price(entry, SHIPPED) for entry in _entries(SHIPPED)}


def read_price(text: str, option: str = "--price") -> dict[str, float]:
    """``input=3,output=15`` as numbers; an empty text is no price. UsageError says what is wrong."""
    numbers: dict[str, object] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.partition("=")
        try:
            numbers[name.strip()] = float(number)
        except ValueError:
            raise UsageError(
                f"{option} {text!r}: {part!r} is not NAME=DOLLARS; names are {', '.join(NAMES)}"
            ) from None
    if wrong := set(numbers) - set(NAMES):
        raise UsageError(
            f"{option} {text!r}: {sorted(wrong)[0]!r} is not a name; names are {', '.join(NAMES)}"
        )
    return _checked(numbers, f"{option} {text!r}") if numbers else {}


def _own_file() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(
        os.environ.get("HUBEL_PRICES") or Path(config) / "hubel" / "prices.toml"
    ).expanduser()


def _entries(file: Path) -> list[dict[str, Any]]:
    content = read_settings_file(file, f"no price file at {str(file)!r}")
    entries = content.get("price", [])
    if set(content) - {"price"} or not isinstance(entries, list):
        raise UsageError(f"{file}: expected [[price]] tables with a model, input and output")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
            raise UsageError(f"{file}: price {number} has no text under `model`")
        if unknown := sorted(set(entry) - set(ENTRY_KEYS)):
            raise UsageError(
                f"{file}: the price of {entry['model']} has the unknown key {unknown[0]!r}; known are "
                f"{', '.join(ENTRY_KEYS)}"
            )
    return entries


def _checked(entry: Mapping[str, object], where: str) -> dict[str, float]:
    """The numbers of a price; UsageError if they are not usable."""
    prices = {name: entry[name] for name in NAMES if name in entry}
    numbers = {
        name: float(price)
        for name, price in prices.items()
        if isinstance(price, (int, float)) and not isinstance(price, bool)
    }
    in_range = all(math.isfinite(n) and 0 <= n < MILLION for n in numbers.values())
    usable = in_range and len(numbers) == len(prices)
    if not usable or not {"input", "output"} <= set(numbers):
        raise UsageError(
            f"{where}: give input=..,output=.. (and cache_read=..,cache_write=..), dollars per million"
        )
    if numbers.get("batch", 0.0) > 1:
        raise UsageError(
            f"{where}: batch is the share of the price that an answer in a batch costs, 0 to 1"
        )
    return numbers


def _as_price(entry: Mapping[str, Any], file: Path) -> KnownPrice:
    return KnownPrice(_checked(entry, f"{file}: {entry['model']}"), _origin(entry, file))


def _origin(entry: Mapping[str, object], file: Path) -> str:
    parts = (f"read {entry['date']}" if "date" in entry else "", str(entry.get("source", "")))
    return ", ".join(part for part in (str(file.name), *parts) if part)
