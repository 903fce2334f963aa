"""Which documents belong together because one repeats much of another.

Similarity is over characters, because some scripts put no spaces between words.

1. Normalize: drop HTML tags, decode entities, fold case, and keep letters and digits only, in one
   Unicode form and without accents. Documents that differ in nothing else are equal.
2. Hash each shingle of 24 UTF-8 bytes (24 Latin letters or 8 Chinese characters: about five words)
   and keep the hashes below a quarter of the range: FracMinHash (Irber et al. 2022). These are a
   document's fingerprints. The same quarter is kept whatever the length, so that counts of common
   fingerprints estimate containment as well as resemblance.
3. Resemblance: two documents that share 70 % of the longer one's fingerprints are in one group.
   Among the documents with a fingerprint only neighbours in length are compared, which keeps the
   work linear.
4. A fingerprint of many groups is boilerplate. It joins nothing further.
5. Containment: a document joins a group that has half of its fingerprints, without boilerplate.
6. Passages: documents that share 256 bytes of normalized text (50 English words: what a context of
   64 tokens holds) are joined, unless it is boilerplate.

The groups do not depend on the documents' order.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt64

SHINGLE_BYTES, SHINGLES_KEPT = 24, 4
"""One shingle in four: a document of 40 words, which is 200 letters, has 44 fingerprints."""
PASSAGE_BYTES, PASSAGES_KEPT = 256, 16
"""One passage in 16: a common text of 512 bytes is missed with a probability of 6e-8."""
PASSAGE_SHINGLES = (PASSAGE_BYTES - SHINGLE_BYTES) // SHINGLES_KEPT // 2
"""Half of the fingerprints that are expected in a passage, four standard deviations below."""
RESEMBLANCE = 0.7
"""Two texts of 40 Chinese characters that differ in one share three quarters of their shingles."""
CONTAINMENT = 0.5
CONTAINMENT_OF_ALL = 0.25
"""Least share of a document's fingerprints with boilerplate: half of the little that is left of a
page of boilerplate means nothing."""
MOST_GROUPS = 16
"""Groups that may share a text before it is boilerplate. In a small corpus it is a fifth of them,
as a disclaimer under every fourth document would otherwise make one group of all."""
NEIGHBOURS = 3
IN_MEMORY = 1 << 26
"""Bytes of fingerprints; a larger corpus's go to a temporary file."""
SORTED_AT_ONCE = 1 << 22
"""Fingerprints; sorting them takes 150 MB."""
HASHED_AT_ONCE = 1 << 20
"""Bytes of text; hashing them takes 50 MB."""

_TAG = re.compile(r"</?[a-z][^<>]{0,500}>", re.I)
_NOT_A_LETTER = re.compile(r"[\W_]+")
_LEVELS = 8  # spans of 1, 2, 4, ... 128 bytes
_RANDOM = np.random.default_rng(1)
_BYTE_HASHES = _RANDOM.integers(0, 2**64, 256, dtype=np.uint64)
_FACTORS = _RANDOM.integers(0, 2**64, (_LEVELS + 1, 2), dtype=np.uint64) | np.uint64(1)

Hashes = UInt64[np.ndarray, " hash"]
Numbers = Int[np.ndarray, " posting"]


class NearDuplicates:
    """Takes documents one by one, then says once which belong together."""

    def __init__(self) -> None:
        self._shingles, self._passages = _Fingerprints(), _Fingerprints()

    def add(self, text: str) -> None:
        """Take the next document."""
        letters = np.frombuffer(_letters(text), np.uint8)
        self._shingles.add(_sample(letters, min(SHINGLE_BYTES, len(letters)), SHINGLES_KEPT))
        self._passages.add(_sample(letters, PASSAGE_BYTES, PASSAGES_KEPT))

    def close(self) -> None:
        """Give back temporary files, if the groups are never asked for."""
        self._shingles.close()
        self._passages.close()

    def groups(self) -> list[int]:
        """For each document, the first document of its group."""
        shingles = self._shingles.stored()
        union = _Union(len(shingles.sizes))
        _join_similar(shingles, union)  # 3.
        groups = union.roots()
        n_groups = len(np.unique(groups))
        limit = min(MOST_GROUPS, max(3, n_groups // 5))  # 4.
        shared = _shared_by_groups(shingles, groups, limit)
        _join_contained(shingles.sizes, groups, shared, union)  # 5.
        _join_passages(self._passages.stored(), groups, limit, shared, union)  # 6.
        return union.roots().tolist()


def _letters(text: str) -> bytes:  # 1.
    if "&" in text:
        text = html.unescape(html.unescape(text))  # twice: `&amp;eacute;` is seen in the wild
    if "<" in text:
        text = _TAG.sub(" ", text)
    folded = unicodedata.normalize("NFKD", text).casefold()
    letters = _NOT_A_LETTER.sub("", folded) or "".join(folded.split()) or " "
    # Hangul is composed again, so that a shingle is as long as in other scripts.
    return unicodedata.normalize("NFKC", letters).encode("utf-8", "surrogatepass")


def _sample(letters: np.ndarray[Any, Any], width: int, kept: int) -> Hashes:  # 2.
    """The sorted distinct hashes of one in `kept` shingles; the smallest, if there are none."""
    limit = np.uint64((1 << 64) // kept)
    parts = []
    smallest: Hashes = np.empty(0, np.uint64)
    for start in range(0, len(letters) - width + 1, HASHED_AT_ONCE):
        hashes = _hash_shingles(letters[start : start + HASHED_AT_ONCE + width - 1], width)
        parts.append(hashes[hashes < limit])
        smallest = np.append(smallest, hashes.min()).min(keepdims=True)
    return np.unique(np.concatenate([*parts, smallest]))


def _hash_shingles(letters: np.ndarray[Any, Any], width: int) -> Hashes:
    """The hash of the `width` bytes from each place: those of spans of 1, 2, 4, ... bytes, mixed."""
    span, spans = 1, _BYTE_HASHES[letters]
    hashes, hashed = spans[:0], 0
    n = len(letters) - width + 1
    for level in range(width.bit_length()):
        if width & span:
            mixed = spans[hashed : hashed + n]
            hashes = hashes * _FACTORS[level, 0] + mixed if hashed else mixed.copy()
            hashed += span
        if width >> (level + 1):
            spans = spans[:-span] * _FACTORS[level, 1] + spans[span:]
            span *= 2
    return (hashes ^ hashes >> np.uint64(32)) * _FACTORS[_LEVELS, 0]


class _Stored(NamedTuple):
    """The fingerprints of all documents, one document after the other, each sorted."""

    hashes: Hashes
    sizes: Numbers
    sums: Hashes

    def ranks(self) -> Numbers:
        """The place of each document by number of fingerprints; ties by content."""
        return np.argsort(np.lexsort((self.sums, self.sizes)))


class _Fingerprints:
    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115, it has no name
        self._sizes: list[int] = []
        self._sums: list[int] = []

    def add(self, hashes: Hashes) -> None:
        self._file.write(hashes.tobytes())
        self._sizes.append(len(hashes))
        self._sums.append(int(hashes.sum(dtype=np.uint64)))

    def close(self) -> None:
        self._file.close()

    def stored(self) -> _Stored:
        """All of them; nothing can be added afterwards."""
        size = self._file.tell()
        self._file.seek(0)
        if size > IN_MEMORY:
            file: Any = self._file  # numpy's stubs do not know of temporary files
            hashes = np.memmap(file, np.uint64, "r", shape=(size // 8,))
        else:
            hashes = np.frombuffer(self._file.read(), np.uint64)
        self._file.close()  # a mapping outlives its file
        return _Stored(hashes, np.array(self._sizes, np.int64), np.array(self._sums, np.uint64))


class _Union:
    """Union-find (Galler and Fischer 1964); a group's root is its first document."""

    def __init__(self, n: int) -> None:
        self._parents = list(range(n))

    def join(self, left: int, right: int) -> None:
        """Join the groups of two documents."""
        left, right = self._root(left), self._root(right)
        self._parents[max(left, right)] = min(left, right)

    def join_all(self, left: Numbers, right: Numbers) -> None:
        """Join each of `left` with the one at the same place of `right`."""
        for a, b in np.unique(np.stack([left, right], axis=1), axis=0).tolist():
            self.join(a, b)

    def roots(self) -> Numbers:
        """For each document, the first of its group."""
        return np.array([self._root(at) for at in range(len(self._parents))], np.int64)

    def _root(self, at: int) -> int:
        while self._parents[at] != at:
            self._parents[at] = self._parents[self._parents[at]]
            at = self._parents[at]
        return at


class _Postings(NamedTuple):
    """Fingerprints, each with a document that has it."""

    hashes: Hashes
    documents: Numbers

    def take(self, places: np.ndarray[Any, Any]) -> _Postings:
        """The chosen ones, by place or by a mask."""
        return _Postings(self.hashes[places], self.documents[places])

    def pairs(self, distance: int) -> tuple[Numbers, Numbers]:
        """Documents at a distance from one another among those with a fingerprint, once sorted."""
        same = self.hashes[distance:] == self.hashes[:-distance]
        return self.documents[:-distance][same], self.documents[distance:][same]


def _parts(stored: _Stored) -> Iterator[_Postings]:
    """All fingerprints, in parts by their range that are small enough to sort."""
    n_parts = -(-len(stored.hashes) // SORTED_AT_ONCE)
    sample = stored.hashes[:: max(1, len(stored.hashes) // 10_000)]
    bounds = np.sort(sample)[[len(sample) * part // n_parts for part in range(1, n_parts)]]
    ends = np.cumsum(stored.sizes)
    for part in range(n_parts):
        chosen = np.ones(len(stored.hashes), bool)
        if part:
            chosen &= stored.hashes >= bounds[part - 1]
        if part + 1 < n_parts:
            chosen &= stored.hashes < bounds[part]
        places = np.flatnonzero(chosen)
        yield _Postings(stored.hashes[places], np.searchsorted(ends, places, "right"))


def _join_similar(stored: _Stored, union: _Union) -> None:
    """Join documents of like length that share most of their fingerprints."""
    ranks, sizes, n = stored.ranks(), stored.sizes, len(stored.sizes)
    pairs = _Counts()
    for part in _parts(stored):
        postings = part.take(np.lexsort((ranks[part.documents], part.hashes)))
        for distance in range(1, NEIGHBOURS + 1):
            shorter, longer = postings.pairs(distance)
            like = sizes[shorter] >= RESEMBLANCE * sizes[longer]
            pairs.add(shorter[like] * np.int64(n) + longer[like])
    keys, counts = pairs.total()
    shorter, longer = keys // n, keys % n
    # Neighbours share most of what they share at all; this spares the comparison of the others.
    likely = counts >= RESEMBLANCE / 2 * sizes[longer]
    starts = np.cumsum(sizes) - sizes

    def share(a: int, b: int) -> float:
        parts = (stored.hashes[starts[at] : starts[at] + sizes[at]] for at in (a, b))
        return len(np.intersect1d(*parts, assume_unique=True)) / sizes[b]

    for a, b in zip(shorter[likely].tolist(), longer[likely].tolist(), strict=True):
        if share(a, b) >= RESEMBLANCE:
            union.join(a, b)


class _Shared(NamedTuple):
    """What is not boilerplate: each document's number of fingerprints, and those in each group.

    `keys` are document * number of documents + group, sorted; `counts` are their fingerprints.
    """

    own: Numbers
    keys: Numbers
    counts: Numbers


def _shared_by_groups(stored: _Stored, groups: Numbers, limit: int) -> _Shared:
    """The fingerprints that each group's shortest document with them has in common with others."""
    n = len(stored.sizes)
    own = np.zeros(n, np.int64)
    pairs = _Counts()
    for postings, of_one_group in _shared_postings(stored, groups, limit):
        own += np.bincount(of_one_group.documents, minlength=n)
        own += np.bincount(postings.documents, minlength=n)
        for distance in range(1, limit):
            for a, b in (ends := postings.pairs(distance), ends[::-1]):
                pairs.add(a * np.int64(n) + groups[b])
    return _Shared(own, *pairs.total())


def _join_contained(sizes: Numbers, groups: Numbers, shared: _Shared, union: _Union) -> None:
    """Join each document with the groups that have much of it."""
    document, group = np.divmod(shared.keys, len(sizes))
    least = np.maximum(CONTAINMENT * shared.own, CONTAINMENT_OF_ALL * sizes)
    contained = shared.counts >= least[document]
    union.join_all(document[contained], group[contained])


def _join_passages(
    passages: _Stored, groups: Numbers, limit: int, shared: _Shared, union: _Union
) -> None:
    """Join groups with a passage in common.

    A passage may be boilerplate but for its last letter. So its shingles are counted, too.
    """
    n = len(groups)
    document, group = np.divmod(shared.keys, n)
    of_groups = _Counts([groups[document] * np.int64(n) + group], [shared.counts])
    keys, counts = of_groups.total()
    enough = keys[counts >= PASSAGE_SHINGLES]
    for postings, _ in _shared_postings(passages, groups, limit):
        for distance in range(1, limit):
            a, b = postings.pairs(distance)
            joined = np.isin(groups[a] * np.int64(n) + groups[b], enough)
            union.join_all(a[joined], b[joined])


def _shared_postings(
    stored: _Stored, groups: Numbers, limit: int
) -> Iterator[tuple[_Postings, _Postings]]:
    """Fingerprints of 2 to `limit` groups, and those of one; of each group the shortest document."""
    ranks = stored.ranks()
    for part in _parts(stored):
        order = np.lexsort((ranks[part.documents], groups[part.documents], part.hashes))
        hashes, documents = part.take(order)
        # Of each group the first document only.
        repeated = (hashes[1:] == hashes[:-1]) & (groups[documents[1:]] == groups[documents[:-1]])
        postings = _Postings(hashes, documents).take(np.append(True, ~repeated)[: len(hashes)])
        _, at, counts = np.unique(postings.hashes, return_inverse=True, return_counts=True)
        n_groups = counts[at]
        yield postings.take((n_groups > 1) & (n_groups <= limit)), postings.take(n_groups == 1)


@dataclass
class _Counts:
    """How often each key occurs."""

    keys: list[Numbers] = field(default_factory=list)
    counts: list[Numbers] = field(default_factory=list)

    def add(self, keys: Numbers) -> None:
        distinct, counts = np.unique(keys, return_counts=True)
        self.keys.append(distinct)
        self.counts.append(counts)

    def total(self) -> tuple[Numbers, Numbers]:
        """Distinct keys, and the count of each."""
        if not self.keys:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        keys, at = np.unique(np.concatenate(self.keys), return_inverse=True)
        counts = np.bincount(at, np.concatenate(self.counts), len(keys))
        return keys, counts
