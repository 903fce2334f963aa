"""From the documents that spaCy has parsed to one table of words.

1. Each parsed context becomes arrays of labels, heads and character spans; its white space, which
   spaCy counts as tokens, is dropped.
2. Every label is translated once (``names``), and the columns of all contexts are put together.
3. The layers that need the parse follow: sentences, the innermost clause, coordination, names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import names
from .annotations import AnnotationLayer

if TYPE_CHECKING:
    from jaxtyping import Bool, Int

FIRST_LAST = ("first", "last")
FIRST_LATER = ("first", "later")
_BEGIN = 3
"""spaCy's code of a word that begins an entity."""


class WordTable(NamedTuple):
    """The words of all contexts, one after the other.

    Attributes:
        ends: the number of words up to the end of each context.
        first, last: start and end of each word's characters within its context.
        previous, head: index of the word before, and of its head; -1 if there is none.
    """

    ends: Int[np.ndarray, " contexts"]
    first: Int[np.ndarray, " words"]
    last: Int[np.ndarray, " words"]
    previous: Int[np.ndarray, " words"]
    head: Int[np.ndarray, " words"]
    layers: dict[str, AnnotationLayer]


def word_table(documents: Iterable[Any], string: Callable[[int], str]) -> WordTable:
    """The words of parsed contexts.

    Args:
        documents: spaCy's `Doc`, one for each context.
        string: the text of one of spaCy's hashes.
    """
    tables, texts = list[np.ndarray](), list[str]()
    n_words = 0
    for document in documents:
        table, words = _context_words(document, n_words)
        tables.append(table)
        texts += words
        n_words += len(table)
    columns = np.concatenate([*tables, np.zeros((0, len(_COLUMNS)), np.int64)])
    column = dict(zip(_COLUMNS, columns.T, strict=True))
    head = column["head"]
    is_new = np.diff(column["context"], prepend=-1) != 0
    previous = np.where(is_new, -1, np.arange(n_words) - 1)
    sentence = np.cumsum(is_new | (np.diff(column["sentence"], prepend=-1) != 0))
    entity = _layer(column["entity"], lambda label: names.ENTITIES.get(string(label), ""))
    relation = _labels(column["relation"], string)
    layers = {
        "lemma": _layer(column["lemma"], lambda label: string(label).lower()),
        "pos": _layer(column["pos"], lambda label: names.POS.get(string(label), "")),
        "tag": _layer(column["tag"], lambda label: names.TAGS.get(string(label), "")),
        "relation": _layer(
            column["relation"], lambda label: names.RELATIONS.get(string(label), "")
        ),
        "entity": entity,
        **_features(column["features"], string),
        **_names(entity, column["entity_begins"] > 0, texts),
        "sentence_place": _sentence_place(sentence, column["is_word"] > 0, column["ended"] > 0),
        "clause": _clause(relation, head),
        "conjunct": _conjunct(relation, head),
    }
    ends = np.cumsum([len(table) for table in tables], dtype=np.int64)
    return WordTable(ends, column["first"], column["last"], previous, head, layers)


_COLUMNS = (
    "context", "first", "last", "lemma", "pos", "tag", "relation", "features", "entity",
    "entity_begins", "head", "sentence", "is_word", "ended",
)  # fmt: skip


def _context_words(document: Any, n_before: int) -> tuple[np.ndarray, list[str]]:
    """A row of _COLUMNS for each word of a context, and the words."""
    import spacy.attrs as attrs

    wanted = (
        attrs.IDX, attrs.LENGTH, attrs.LEMMA, attrs.POS, attrs.TAG, attrs.DEP, attrs.MORPH,
        attrs.ENT_TYPE, attrs.ENT_IOB, attrs.HEAD, attrs.SENT_START, attrs.IS_SPACE, attrs.IS_PUNCT,
    )  # fmt: skip
    raw = document.to_array(list(wanted)).astype(np.int64).reshape(-1, len(wanted))
    at = {attribute: raw[:, i] for i, attribute in enumerate(wanted)}
    kept = at[attrs.IS_SPACE] == 0
    index = np.where(kept, n_before + np.cumsum(kept) - 1, -1)  # of each word among all
    target = np.arange(len(raw)) + at[attrs.HEAD]
    head = np.where(at[attrs.HEAD] == 0, -1, index[target]) if len(raw) else index
    sentence = np.cumsum(at[attrs.SENT_START] == 1)
    is_word = at[attrs.IS_PUNCT] == 0
    # A context's last sentence may be cut off: it counts as ended if it ends with a mark.
    is_last = sentence == sentence[-1:]
    ended = ~is_last | (kept & ~is_word)[np.flatnonzero(kept)[-1:]].any()
    table = np.stack(
        [
            np.full(len(raw), n_before), at[attrs.IDX], at[attrs.IDX] + at[attrs.LENGTH],
            at[attrs.LEMMA], at[attrs.POS], at[attrs.TAG], at[attrs.DEP], at[attrs.MORPH],
            at[attrs.ENT_TYPE], at[attrs.ENT_IOB] == _BEGIN, head, sentence, is_word, ended,
        ],
        axis=1,
    )  # fmt: skip
    words = [token.text for token, keep in zip(document, kept, strict=True) if keep]
    return table[kept], words


def _labels(column: Int[np.ndarray, " words"], string: Callable[[int], str]) -> np.ndarray:
    """The strings of a column of spaCy's hashes."""
    hashes, index = np.unique(column, return_inverse=True)
    return np.array([string(_unsigned(value)) for value in hashes], dtype=object)[index]


def _layer(column: Int[np.ndarray, " words"], translate: Callable[[int], str]) -> AnnotationLayer:
    """A layer from a column of spaCy's hashes; a label that becomes "" is left out."""
    hashes, index = np.unique(column, return_inverse=True)
    return _coded([translate(_unsigned(value)) for value in hashes], index)


def _coded(labels: Sequence[str], index: Int[np.ndarray, " words"]) -> AnnotationLayer:
    """A layer from the label of each word, given as an index into labels; "" is none."""
    values = tuple(sorted(set(labels) - {""}))
    code_of = {value: code for code, value in enumerate(values)}
    codes = np.array([code_of.get(label, -1) for label in labels], dtype=np.int32)
    return AnnotationLayer(codes[index] if len(codes) else np.zeros(0, np.int32), values)


def _unsigned(value: Any) -> int:
    return int(value) % 2**64


def _features(
    column: Int[np.ndarray, " words"], string: Callable[[int], str]
) -> Mapping[str, AnnotationLayer]:
    """One layer for each feature of `names.FEATURES`, from strings such as Number=Sing|Person=3."""
    hashes, index = np.unique(column, return_inverse=True)
    parsed = [
        dict(pair.split("=", 1) for pair in string(_unsigned(value)).split("|") if "=" in pair)
        for value in hashes
    ]
    return {
        layer: _coded([values.get(features.get(name, ""), "") for features in parsed], index)
        for name, (layer, values) in names.FEATURES.items()
    }


def _names(
    entity: AnnotationLayer, begins: Bool[np.ndarray, " words"], words: list[str]
) -> Mapping[str, AnnotationLayer]:
    """First or later word of an entity, and the whole of a proper name, in lower case, without *the*."""
    inside = entity.codes >= 0
    is_name = np.append([value in names.NAMES for value in entity.values], False)[entity.codes]
    number = np.cumsum(begins)  # each word of an entity belongs to the last one that began
    spelled: dict[int, list[str]] = {}
    for i in np.flatnonzero(is_name).tolist():
        spelled.setdefault(int(number[i]), []).append(words[i].lower())
    rows = {0: 0} | {n: row for row, n in enumerate(spelled, start=1)}
    index = [rows[n] for n in np.where(is_name, number, 0).tolist()]
    labels = ["", *(" ".join(parts).removeprefix("the ") for parts in spelled.values())]
    place = np.where(inside, np.where(begins, 0, 1), -1)
    return {
        "name": _coded(labels, np.array(index, dtype=np.int64)),
        "entity_place": AnnotationLayer(place.astype(np.int32), FIRST_LATER),
    }


def _sentence_place(
    sentence: Int[np.ndarray, " words"],
    is_word: Bool[np.ndarray, " words"],
    ended: Bool[np.ndarray, " words"],
) -> AnnotationLayer:
    """The first and the last word of each sentence; marks are no words."""
    place = np.full(len(sentence), -1, dtype=np.int32)
    words = np.flatnonzero(is_word)
    key = sentence[words]
    lasts = words[np.diff(key, append=-1) != 0]
    place[lasts[ended[lasts]]] = 1
    place[words[np.diff(key, prepend=-1) != 0]] = 0
    return AnnotationLayer(place, FIRST_LAST)


def _clause(relation: np.ndarray, head: Int[np.ndarray, " words"]) -> AnnotationLayer:
    """The kind of the innermost clause: that of the nearest word upwards which heads one."""
    labels = [names.CLAUSES.get(label, "") for label in relation]
    own = _coded(labels, np.arange(len(labels)))
    codes = own.codes.copy()
    above = head.copy()
    while (open_ := (codes < 0) & (above >= 0)).any():
        codes[open_] = own.codes[above[open_]]
        above = np.where(above >= 0, np.append(head, -1)[above], -1)
    return AnnotationLayer(codes, own.values)


def _conjunct(relation: np.ndarray, head: Int[np.ndarray, " words"]) -> AnnotationLayer:
    """Items of a coordination ("bread, butter and jam"): the first one, and those after it."""
    later = relation == "conj" if len(relation) else np.zeros(0, dtype=bool)
    codes = np.where(later, 1, -1).astype(np.int32)
    firsts = head[later & (head >= 0)]
    codes[firsts[codes[firsts] < 0]] = 0
    return AnnotationLayer(codes, FIRST_LATER)
