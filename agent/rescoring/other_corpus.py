"""The targets' activations on another corpus, kept in the run's folder.

Does an explanation hold there? All of the other corpus counts as unseen text, as the explainer
looked only at the run's own explore and select splits:

1. Draw random contexts of the other corpus.
2. Leave out the documents that repeat text of explore or select, by the rule that keeps
   near-duplicates in one split (`tools.corpus.duplicates`): two corpora may share documents.
3. Take the activations from the activation store of an index of that corpus where there is one that
   has them, else from a pass of the subject.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...tools.corpus import Contexts, Corpus, make_contexts, read_corpus
from ...tools.corpus.duplicates import NearDuplicates
from ...tools.errors import UsageError
from ...tools.files import atomic_file
from ...tools.files.regular_file import make_inside
from ...tools.index import Collected, Index
from ...tools.index.float16_range import LARGEST
from ...tools.subject.address import Unit
from ..run.default_index import existing_index
from ..runlog.data_files import check_file, is_whole
from ..runlog.layout import TRANSFER
from ..runlog.progress import Reporter

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from ...tools.subject import Subject

CONTEXTS_PER_PASS = 32
MOST_KINDS = 12
"""With more, what is before the first slash of a document's id says something else, such as a path."""
ReadStored = Callable[..., "Float[np.ndarray, 'unit context seq'] | None"]
"""`tools.index.holdout.stored_activations`; passed in, because few modules may import it."""


@dataclass(frozen=True)
class OtherCorpus:
    """What is read of which corpus.

    Attributes:
        seen: the splits that the explainer saw; what repeats them is left out.
        vocabulary: the text of each token.
        index: an index of the corpus; by default the one in the cache, if there is one.
    """

    name: str
    seen: Sequence[Collected]
    vocabulary: list[str]
    max_contexts: int
    seed: int
    index: Path | None = None

    @cached_property
    def corpus(self) -> Corpus:
        return read_corpus(self.name)

    @property
    def context_len(self) -> int:
        """Tokens of a context: as many as in the run's own."""
        return self.seen[0].tokens.shape[1]

    def find_index(self, subject: Subject) -> Index | None:
        """An index whose store may have the activations.

        Raises:
            UsageError: the index that was given is of something else.
        """
        if self.index is None:
            return existing_index(subject, self.corpus)
        index = Index.open(self.index)
        subject.require_revision(index.subject_revision, f"the index at {self.index}")
        if index.corpus_sha256 != self.corpus.sha256:
            raise UsageError(
                f"the index at {self.index} is over {index.corpus_name}, not over {self.name}; "
                "give an index of that corpus, or leave out --index"
            )
        return index


def collect_on_corpus(
    other: OtherCorpus,
    folder: Path,
    units: Sequence[Unit],
    load: Callable[[], Subject],
    *,
    reporter: Reporter,
    record: Callable[[str], None],
    read_stored: ReadStored | None = None,
) -> Collected:
    """Activations of units on random contexts of a corpus, computed once.

    Args:
        load: gives the subject; not called if the activations are there.
        record: writes down the hash of a file in the run's folder.
        read_stored: reads activations out of an index's store; without it the subject is run.

    Raises:
        CorruptError: what was collected before has changed since.
        UsageError: the corpus cannot be read, has no context of two tokens, or has no document that
            was not seen.
    """
    corpus = other.corpus
    names = [str(unit) for unit in dict.fromkeys(unit.unsided for unit in units)]
    title = f"{Path(corpus.name).name}-{corpus.sha256[:8]}-{other.max_contexts}-unseen"
    name = f"{TRANSFER}/{re.sub(r'[^A-Za-z0-9.-]+', '-', title)}.safetensors"
    path = folder / name
    make_inside(path.parent, folder)
    if path.exists() and is_whole(folder, name):
        check_file(folder, name)
        stored = Collected(path)
        if set(names) <= set(stored.targets):
            return stored
    subject = load()
    contexts = make_contexts(
        corpus.documents,
        lambda text: subject.tokenize(text).ids,
        other.context_len,
        max_tokens=8 * other.max_contexts * other.context_len,  # enough to draw from
    )
    rows, left_out = _draw(contexts, other)
    if left_out:
        reporter.say(
            f"left out {left_out} of the documents of {corpus.name}: they repeat text that the explainer "
            "saw"
        )
    parsed = [Unit.parse(name) for name in names]
    activations = None
    if read_stored and (index := other.find_index(subject)):
        text = contexts.tokens[rows], contexts.length[rows]
        activations = read_stored(subject, index, parsed, *text, reporter.say)
        if activations is not None:
            activations = to_stored_form(activations)
            reporter.say(f"activations on {corpus.name}: from the store of {index.path}")
    if activations is None:
        activations = _activations(subject, parsed, contexts, rows, reporter)
    _write(path, names, contexts, rows, activations)
    record(name)
    return Collected(path)


def _draw(contexts: Contexts, other: OtherCorpus) -> tuple[Int[np.ndarray, " rows"], int]:
    """Contexts of documents that were not seen, and how many documents were left out."""
    usable = np.flatnonzero(contexts.length > 1)
    if not len(usable):
        raise UsageError(f"corpus {other.name!r} has no context of two tokens")
    seen = _repeated_documents(contexts, other)
    unseen = usable[~np.isin(contexts.document[usable], list(seen))]
    if not len(unseen):
        raise UsageError(
            f"every document of corpus {other.name!r} repeats text that the explainer saw; give "
            "another corpus"
        )
    order = np.random.default_rng(other.seed).permutation(unseen)
    return np.sort(order[: other.max_contexts]), len(seen)


def _repeated_documents(contexts: Contexts, other: OtherCorpus) -> set[int]:
    """Numbers of the documents that are in one group of near-duplicates with one that was seen."""
    duplicates = NearDuplicates()
    n_seen = 0
    for split in other.seen:
        texts = _document_texts(split.tokens, split.length, split.document, other.vocabulary)
        for text in texts.values():
            duplicates.add(text)
        n_seen += len(texts)
    texts = _document_texts(contexts.tokens, contexts.length, contexts.document, other.vocabulary)
    for text in texts.values():
        duplicates.add(text)
    # a group has the number of its first document, and those that were seen come first
    groups = duplicates.groups()[n_seen:]
    return {number for number, group in zip(texts, groups, strict=True) if group < n_seen}


def _document_texts(
    tokens: Int[np.ndarray, "context seq"],
    length: Int[np.ndarray, " context"],
    document: Int[np.ndarray, " context"],
    vocabulary: list[str],
) -> dict[int, str]:
    """The text of each document, of its contexts one after the other."""
    texts: dict[int, str] = {}
    for ids, n, number in zip(tokens.tolist(), length.tolist(), document.tolist(), strict=True):
        texts[number] = texts.get(number, "") + "".join(vocabulary[id] for id in ids[:n])
    return texts


def to_stored_form(
    values: Float[np.ndarray, "*shape seq"],
) -> Float[np.ndarray, "*shape seq"]:
    """Activations as float16. Position 0 does not count; elsewhere what float16 cannot hold becomes
    infinite, which `Collected` refuses."""
    values[..., 0] = np.clip(values[..., 0], -LARGEST, LARGEST)
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def _activations(
    subject: Subject,
    units: Sequence[Unit],
    contexts: Contexts,
    rows: Int[np.ndarray, " rows"],
    reporter: Reporter,
) -> Float[np.ndarray, "names rows seq"]:
    """Every unit's activation at every token; 0 where a context is shorter than the longest."""
    import torch

    activations = np.zeros((len(units), len(rows), contexts.tokens.shape[1]), dtype=np.float16)
    for start in range(0, len(rows), CONTEXTS_PER_PASS):
        batch = rows[start : start + CONTEXTS_PER_PASS]
        ids = torch.tensor(contexts.tokens[batch].astype(np.int64))
        values = subject.unit_activations(ids, units).float().cpu().numpy()
        is_token = np.arange(ids.shape[1]) < contexts.length[batch][:, None]
        values = np.where(is_token, values, 0.0)
        activations[:, start : start + len(batch)] = to_stored_form(values)
        reporter.update("read the other corpus", start + len(batch), len(rows), unit="contexts")
    return activations


def _write(
    path: Path,
    names: list[str],
    contexts: Contexts,
    rows: Int[np.ndarray, " rows"],
    activations: Float[np.ndarray, "names rows seq"],
) -> None:
    """Write activations on a corpus in the format that `tools.index.Collected` opens."""
    from safetensors.numpy import save_file

    arrays = {
        "activations": activations,
        "tokens": contexts.tokens[rows].astype(np.int32),
        "length": contexts.length[rows].astype(np.int32),
        "document": contexts.document[rows].astype(np.int32),
        "group": np.array([row.group for row in contexts.documents], np.int32)[
            contexts.document[rows]
        ],
        "context": rows.astype(np.int32),
    }
    metadata = {"targets": names, "kinds": _kinds(contexts)}
    with atomic_file(path) as partial:
        save_file(arrays, partial, metadata={"collected": json.dumps(metadata)})


def _kinds(contexts: Contexts) -> Mapping[int, str]:
    """The kind of each document; empty for a corpus without kinds.

    An id such as ``news/lee:12`` begins with the kind; so do those of files in folders.
    """
    kinds = {number: row.id.partition("/")[0] for number, row in enumerate(contexts.documents)}
    has_kinds = all("/" in row.id for row in contexts.documents)
    return kinds if has_kinds and 1 < len(set(kinds.values())) <= MOST_KINDS else {}
