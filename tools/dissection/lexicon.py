"""What concepts need to know about a subject's vocabulary, computed once and kept.

1. Every token's string is stripped and lower-cased to its *word*: " Said", "said" and " said" are
   one word.
2. Surface facts (letters, digits, casing, leading space) are arrays over the vocabulary.
3. A word's vector is that of its most frequent token (byte-pair ids are ranks: the lowest id, one
   with a leading space first), standardised over the vocabulary and scaled to unit length; its
   neighbourhood is all words by cosine.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..errors import CorruptError, UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

T = TypeVar("T")
FORMAT = 2
_FILE = "lexicon.json"


class Lexicon:
    """The vocabulary as concepts see it.

    Args:
        strings: every token of the vocabulary, decoded on its own; a leading space marks a word's start.
        vectors: one row a token, e.g. the input embedding; None switches neighbourhoods off.
        neighbourhoods: printed concept to its words: all that is left of the vectors in a frozen lexicon (``freeze``).
    """

    def __init__(
        self,
        strings: list[str],
        vectors: Float[np.ndarray, "vocab d"] | None = None,
        neighbourhoods: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        if vectors is not None and len(vectors) != len(strings):
            raise UsageError(
                f"a lexicon needs one vector a token: got {len(vectors)} for {len(strings)} tokens"
            )
        self.strings = strings
        self.vectors = None if vectors is None else np.asarray(vectors, dtype=np.float32)
        self.neighbourhoods = dict(neighbourhoods or {})
        self._memo: dict[object, object] = {}

    @classmethod
    def build(
        cls, token_strings: list[str], embedding: Float[np.ndarray, "vocab d"] | None = None
    ) -> Lexicon:
        """From decoded tokens and any matrix with one row a token; rows are standardised and scaled to unit length."""
        return cls(list(token_strings), None if embedding is None else _unit_rows(embedding))

    def __len__(self) -> int:
        return len(self.strings)

    def memo(self, key: object, make: Callable[[], T]) -> T:
        """``make()`` once a key: where concept families keep what they derive from the vocabulary."""
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]  # type: ignore[return-value]

    @cached_property
    def bare(self) -> list[str]:
        """Token strings without surrounding white space."""
        return [s.strip() for s in self.strings]

    @cached_property
    def words(self) -> list[str]:
        """The distinct bare forms in lower case, in order of their first token."""
        return list(dict.fromkeys(s.lower() for s in self.bare))

    @cached_property
    def word_ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def word_of_token(self) -> Int[np.ndarray, "vocab"]:
        """Index into ``words`` of each token."""
        ids = self.word_ids
        return np.array([ids[s.lower()] for s in self.bare], dtype=np.int32)

    @cached_property
    def spaced(self) -> Bool[np.ndarray, "vocab"]:
        """Tokens that begin with white space, so that a new word starts."""
        return np.array([s[:1].isspace() for s in self.strings], dtype=bool)

    @cached_property
    def lettered(self) -> Bool[np.ndarray, "vocab"]:
        """Tokens of letters only (apostrophes and hyphens inside allowed)."""
        return np.array(
            [s.replace("'", "").replace("’", "").replace("-", "").isalpha() for s in self.bare],
            dtype=bool,
        )

    @cached_property
    def alphanumeric(self) -> Bool[np.ndarray, "vocab"]:
        """Tokens with at least one letter or digit."""
        return np.array([any(c.isalnum() for c in s) for s in self.bare], dtype=bool)

    @cached_property
    def token_of_word(self) -> Int[np.ndarray, "words"]:
        """Each word's most frequent token: the lowest id, one with a leading space and lower case first."""
        cased = np.array([s != s.lower() for s in self.bare])
        order = np.lexsort((np.arange(len(self)), cased, ~self.spaced))
        first = np.full(len(self.words), -1, dtype=np.int64)
        first[self.word_of_token[order[::-1]]] = order[::-1]
        return first

    @cached_property
    def map_words(self) -> Int[np.ndarray, "rows"]:
        """Words that have a neighbourhood (those of letters only), as indices into ``words``."""
        return (
            np.flatnonzero(self.lettered[self.token_of_word])
            if self.vectors is not None
            else np.zeros(0, np.int64)
        )

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
                "this lexicon was built without an embedding; build it with one to use neighbourhoods"
            )
        return self.vectors[self.token_of_word[self.map_words]]

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when a token or a vector does."""
        digest = hashlib.sha256("\0".join(self.strings).encode("utf-8", "surrogatepass"))
        if self.vectors is not None:
            digest.update(self.vectors.astype(np.float16).tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write ``lexicon.json.gz`` and, where there are vectors, ``lexicon.safetensors`` (half precision)."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        if self.vectors is not None:
            save_file({"vectors": self.vectors.astype(np.float16)}, folder / "lexicon.safetensors")
        about = {"format": FORMAT, "vectors": self.vectors is not None, "strings": self.strings}
        about["neighbourhoods"] = self.neighbourhoods
        text = json.dumps(about, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        (folder / f"{_FILE}.gz").write_bytes(gzip.compress(text, mtime=0))

    @classmethod
    def load(cls, folder: Path) -> Lexicon:
        """What ``save`` wrote. Raises CorruptError where a file is missing, cut short or of another format."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            about = json.loads(_text(folder))
            vectors = (
                load_file(folder / "lexicon.safetensors")["vectors"] if about["vectors"] else None
            )
            if about["format"] != FORMAT:
                raise ValueError(f"format {about['format']!r}")
        except (OSError, EOFError, zlib.error, ValueError, KeyError, SafetensorError) as error:
            raise CorruptError(
                f"the lexicon in {folder} cannot be read ({error}); delete that folder"
            ) from error
        return cls(about["strings"], vectors, about["neighbourhoods"])


def _text(folder: Path) -> bytes:
    """The file's JSON; older runs keep it uncompressed."""
    packed = folder / f"{_FILE}.gz"
    return (
        gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / _FILE).read_bytes()
    )


def _unit_rows(matrix: Float[np.ndarray, "vocab d"]) -> Float[np.ndarray, "vocab d"]:
    """Rows standardised by column and scaled to length 1, rounded to half precision as ``save`` does."""
    rows = np.asarray(matrix, dtype=np.float32)
    rows = (rows - rows.mean(axis=0)) / (rows.std(axis=0) + 1e-6)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6
    return rows.astype(np.float16).astype(np.float32)
