"""What concepts need to know about a subject's vocabulary, computed once.

1. Every token's string is stripped and lower-cased to its *word*: " Said", "said" and " said" are
   one word.
2. Surface facts (letters, digits, casing, leading space) are arrays over the vocabulary.
3. A word's vector is that of its most frequent token (byte-pair ids are ranks: the lowest id, one
   with a leading space first), standardised over the vocabulary and scaled to unit length; a word's
   neighbourhood is the words with the largest cosine.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import CorruptError, UsageError
from ..files import file_sha256
from ..files.regular_file import check_regular, read_regular
from ..lexica import Lexica
from ..subject.token_text import mark_bytes

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ..annotation import Annotator

T = TypeVar("T")
FORMAT = 2
_FILE, _VECTORS = "lexicon.json", "lexicon.safetensors"
_UNREADABLE = (OSError, EOFError, zlib.error, ValueError, TypeError, LookupError, RecursionError)
"""What a damaged file of a lexicon may raise."""
MAX_BYTES = 32 << 20
"""Of the JSON: that of a vocabulary of 260,000 tokens has 5 MB."""


class Lexicon:
    """The vocabulary as concepts see it.

    Args:
        strings: every token of the vocabulary, decoded by itself; a leading space begins a word.
        vectors: one row per token, e.g. the input embedding; without them no neighbourhoods.
        neighbourhoods: printed concept to its members; they replace the vectors and the lexica in a
            frozen lexicon (``freeze``).
        annotator: tags the words of texts; without one, there are no concepts of lemmas and grammar.
        lexica: where classes of words come from; without them no such classes.
    """

    def __init__(
        self,
        strings: list[str],
        vectors: Float[np.ndarray, "vocab d"] | None = None,
        neighbourhoods: Mapping[str, Sequence[str]] | None = None,
        annotator: Annotator | None = None,
        lexica: Lexica | None = None,
    ) -> None:
        if vectors is not None and len(vectors) != len(strings):
            raise UsageError(
                f"a lexicon needs one vector per token: got {len(vectors)} for {len(strings)} tokens"
            )
        self.strings = strings
        self.vectors = None if vectors is None else np.asarray(vectors, dtype=np.float32)
        self.neighbourhoods = dict(neighbourhoods or {})
        self.annotator = annotator
        self.lexica = lexica
        self._memo: dict[object, object] = {}

    @classmethod
    def build(
        cls, token_strings: list[str], embedding: Float[np.ndarray, "vocab d"] | None = None
    ) -> Lexicon:
        """From decoded tokens and any matrix with one row per token, which is normalised."""
        return cls(list(token_strings), None if embedding is None else _unit_rows(embedding))

    def __len__(self) -> int:
        return len(self.strings)

    def memo(self, key: object, make: Callable[[], T]) -> T:
        """``make()``, called once per key; caches what concepts derive from the vocabulary."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]  # type: ignore[return-value]

    @cached_property
    def bare(self) -> list[str]:
        """Token strings without white space around them."""
        return [s.strip() for s in self.strings]

    @cached_property
    def characters(self) -> list[str]:
        """Bare forms for tests of their characters: bytes that do not make one are U+FFFD."""
        return [mark_bytes(string) for string in self.bare]

    @cached_property
    def words(self) -> list[str]:
        """The distinct bare forms in lower case, in order of their first token."""
        return list(dict.fromkeys(s.lower() for s in self.bare))

    @cached_property
    def word_ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def ids_of_words(self, words: Iterable[str]) -> list[int]:
        """Indices into ``words`` of those that the vocabulary has."""
        return [self.word_ids[word] for word in words if word in self.word_ids]

    @cached_property
    def word_of_token(self) -> Int[np.ndarray, "vocab"]:
        """Index into ``words`` of each token."""
        ids = self.word_ids
        return np.array([ids[s.lower()] for s in self.bare], dtype=np.int32)

    def are_of_words(
        self, ids: Int[np.ndarray, "k"], words: Int[np.ndarray, "n"] | Sequence[int]
    ) -> Bool[np.ndarray, "k"]:
        """Which of some tokens have one of some words, given as indices into ``words``."""
        # A table is several times faster than np.isin, which sorts.
        listed = np.zeros(len(self.words), dtype=bool)
        listed[np.asarray(words, dtype=np.int64)] = True
        return listed[self.word_of_token[ids]]

    def are_tokens(self, ids: Int[np.ndarray, "k"], string: str) -> Bool[np.ndarray, "k"]:
        """Which of some tokens decode to exactly this text."""
        return np.isin(ids, self._ids_by_string.get(string, []))

    @cached_property
    def _ids_by_string(self) -> dict[str, list[int]]:
        ids: dict[str, list[int]] = {}
        for i, string in enumerate(self.strings):
            ids.setdefault(string, []).append(i)
        return ids

    @cached_property
    def spaced(self) -> Bool[np.ndarray, "vocab"]:
        """Tokens that begin with white space, so that a new word starts."""
        return np.array([s[:1].isspace() for s in self.strings], dtype=bool)

    @cached_property
    def lettered(self) -> Bool[np.ndarray, "vocab"]:
        """Tokens of letters only (apostrophes and hyphens inside allowed)."""
        return np.array(
            [
                s.replace("'", "").replace("’", "").replace("-", "").isalpha()
                for s in self.characters
            ],
            dtype=bool,
        )

    @cached_property
    def alphanumeric(self) -> Bool[np.ndarray, "vocab"]:
        """Tokens with at least one letter or digit."""
        return np.array([any(c.isalnum() for c in s) for s in self.characters], dtype=bool)

    @cached_property
    def token_of_word(self) -> Int[np.ndarray, "words"]:
        """Each word's most frequent token: one with a leading space, in lower case, of lowest id."""
        cased = np.array([s != s.lower() for s in self.bare])
        best_first = np.lexsort((np.arange(len(self)), cased, ~self.spaced))
        # Assigned from worst to best, so that each word keeps its best token.
        best = np.full(len(self.words), -1, dtype=np.int64)
        best[self.word_of_token[best_first[::-1]]] = best_first[::-1]
        return best

    @cached_property
    def map_words(self) -> Int[np.ndarray, "rows"]:
        """Words that have a neighbourhood (those of letters only), as indices into ``words``."""
        if self.vectors is None:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.lettered[self.token_of_word])

    @cached_property
    def map_row_of_word(self) -> Int[np.ndarray, "words"]:
        """Row of a word in ``map``, -1 for words that have no neighbourhood."""
        row = np.full(len(self.words), -1, dtype=np.int64)
        row[self.map_words] = np.arange(len(self.map_words))
        return row

    @cached_property
    def map(self) -> Float[np.ndarray, "rows d"]:
        """Unit vectors of the words that have a neighbourhood."""
        if self.vectors is None:
            raise UsageError(
                "this lexicon was built without an embedding; give one to use neighbourhoods"
            )
        return self.vectors[self.token_of_word[self.map_words]]

    def save(self, folder: Path) -> None:
        """Write ``lexicon.json.gz`` and, if there are vectors, ``lexicon.safetensors`` (float16)."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        vectors: str | None = None  # the hash of their file; the other file carries its own sum
        if self.vectors is not None:
            save_file({"vectors": self.vectors.astype(np.float16)}, folder / _VECTORS)
            vectors = file_sha256(folder / _VECTORS)
        content: dict[str, Any] = {"format": FORMAT, "vectors": vectors, "strings": self.strings}
        content["neighbourhoods"] = self.neighbourhoods
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        (folder / f"{_FILE}.gz").write_bytes(gzip.compress(text, mtime=0))

    @classmethod
    def load(cls, folder: Path) -> Lexicon:
        """Read what ``save`` wrote; raises CorruptError if a file is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            content = json.loads(_read(folder))
            _check(content)
            vectors = None
            if content["vectors"]:
                check_regular(folder / _VECTORS, inside=folder)
                # Older ones have no hash, but True.
                if content["vectors"] not in (True, file_sha256(folder / _VECTORS)):
                    raise ValueError(f"{_VECTORS} is not what was written")
                vectors = load_file(folder / _VECTORS)["vectors"]
        except (*_UNREADABLE, SafetensorError) as error:
            raise CorruptError(
                f"the lexicon in {folder} cannot be read ({error}); delete that folder"
            ) from error
        return cls(content["strings"], vectors, content["neighbourhoods"])


def _read(folder: Path) -> bytes:
    """The JSON of a stored lexicon, unpacked up to a limit: a few kB can hold a GB of zeros."""
    packed = folder / f"{_FILE}.gz"
    if not packed.exists():  # older runs keep it uncompressed
        return read_regular(folder / _FILE, MAX_BYTES, inside=folder)
    with gzip.GzipFile(fileobj=BytesIO(read_regular(packed, MAX_BYTES, inside=folder))) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"unpacked, it has more than {MAX_BYTES:,} bytes")
    return content


def _check(content: Any) -> None:
    """Raise ValueError if the JSON is not that of a lexicon."""
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}")
    strings, neighbourhoods = content["strings"], content["neighbourhoods"]
    if not isinstance(strings, list) or not all(isinstance(string, str) for string in strings):
        raise ValueError("`strings` is not a list of text")
    if not isinstance(neighbourhoods, dict):
        raise ValueError("`neighbourhoods` is not an object")
    for concept, words in neighbourhoods.items():
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"the neighbourhood of {concept!r:.100} is not a list of text")


def _unit_rows(matrix: Float[np.ndarray, "vocab d"]) -> Float[np.ndarray, "vocab d"]:
    """Rows standardised by column and scaled to length 1, rounded to half precision as ``save`` does."""
    rows = np.asarray(matrix, dtype=np.float32)
    rows = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6
    return rows.astype(np.float16).astype(np.float32)
