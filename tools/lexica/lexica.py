"""The lexica of a run, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TypeVar

from ..errors import CorruptError, UnavailableError
from .valence import load_valence
from .wordnet import WordNet
from .wordnet_cache import load_wordnet

T = TypeVar("T")


class Lexica:
    """WordNet and the valence of words; None for one that cannot be loaded, which is said once.

    Args:
        say: told what is fetched, and what is missing and why.
    """

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        self.say = say
        self.missing: list[str] = []
        """What was said about lexica that could not be loaded."""

    @cached_property
    def wordnet(self) -> WordNet | None:
        return self._load(load_wordnet, "classes and families of words (WordNet)")

    @cached_property
    def valence(self) -> Mapping[str, float] | None:
        return self._load(load_valence, "words of good and bad feeling")

    def _load(self, load: Callable[[Callable[[str], None]], T], concepts: str) -> T | None:
        try:
            return load(self.say)
        except (UnavailableError, CorruptError) as error:
            self.missing.append(f"without {concepts}: {error}")
            self.say(self.missing[-1])
            return None
