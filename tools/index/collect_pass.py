"""The collect pass: writes the activations of a run's targets at every token of each split.

1. Take all contexts of each split, or a random `max_contexts` of them.
2. Read them in batches of like length: from the index's activation store where it has what a target
   needs, else from a forward pass, which stops at the deepest site that any target needs.
3. Write each target's activations into its place of a memory-mapped file, whose pages are given back
   after each batch, so that memory does not grow with the number of targets.
4. Nulls and controls are columns after the targets; what needs a whole split (`arrange`) comes
   last.

A split's file appears when it is complete; a killed pass resumes with the next split.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..corpus import SPLITS, Contexts, Split
from ..errors import CorruptError, UsageError
from ..files import atomic_file, writing
from ..files.atomic import reserve
from ..subject.address import Site, Unit
from ..subject.non_finite import refuse
from ..subject.subject import Subject
from .activation_store.source import ContextBatch, SourceRequests, choose_sources
from .batch_plan import batch_rows
from .collect_inputs import CollectedRows, CollectedText, Column, collected_rows
from .collected import Collected, part_name
from .float16 import to_float16
from .float16_range import LARGEST
from .index import Index, reader_of
from .pass_progress import Progress


def collect(
    subject: Subject,
    index: Index,
    targets: Sequence[Unit],
    out: Path | str,
    *,
    max_contexts: int = 2000,
    seed: int = 0,
    extra: Sequence[Column] = (),
    part: int = 0,
    chunks: Callable[[Split], Iterable[CollectedChunk]] | None = None,
    progress: Callable[[Progress], None] | None = None,
    written: Callable[[Path], None] = lambda path: None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Write explore, select and holdout.safetensors into the folder `out`; keeps complete files.

    Args:
        targets: units; their sides are ignored, and duplicates dropped.
        extra: nulls and controls, collected under the address of their `unit`.
        part: the number of this part of a run's targets, which gives the files their names.
        chunks: for a split, files of `collect_chunk` that have all its contexts together; the same
            bytes come out as without them.
        progress: called after each batch.
        written: called with each file when it is complete.
        say: called with a line where the index's activation store has not all that is needed.

    Raises:
        UsageError: no targets, a unit that the subject does not have or that is given twice, another
            subject than the index's, or files of other targets in the folder.
        UnavailableError: the disk is full or cannot be written to.
    """
    subject.require_revision(index.subject_revision, "the index")
    if max_contexts < 1:
        raise UsageError(f"max_contexts={max_contexts} given; give 1 or more")
    rows = collected_rows(subject, targets, extra)
    out = Path(out)
    texts: dict[Split, CollectedText] = {
        split: _sample_contexts(index, split, max_contexts, seed) for split in SPLITS
    }
    say = _once(say)  # each split has the same to say
    done, total = 0, sum(int(text.contexts.length.sum()) for text in texts.values())
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    for split, text in texts.items():
        path = out / part_name(split, part)
        drawn = {"split": split, "max_contexts": max_contexts, "seed": seed}
        metadata = _content(subject, index, rows, text) | drawn
        if not _is_complete(path, metadata):
            sources = choose_sources(subject, index, split, rows.requests, say)
            one = _Pass(subject, sources, rows, split, text, metadata, done, total, progress)
            one.write(path, chunks)
            written(path)
        done += int(text.contexts.length.sum())
        if progress:
            progress(Progress(done, total, None, step="collect"))


def collect_chunk(
    subject: Subject,
    index: Index,
    targets: Sequence[Unit],
    split: Split,
    chunk: CollectedChunk,
    *,
    max_contexts: int = 2000,
    seed: int = 0,
    extra: Sequence[Column] = (),
) -> None:
    """Write the activations of the batches of one chunk into its file, for `collect`. Raises as it does."""
    subject.require_revision(index.subject_revision, "the index")
    rows, text = (
        collected_rows(subject, targets, extra),
        _sample_contexts(index, split, max_contexts, seed),
    )
    sources = choose_sources(subject, index, split, rows.requests, lambda line: None)
    one = _Pass(subject, sources, rows, split, text, {}, 0, 0, None)
    with atomic_file(chunk.path) as path, path.open("wb") as file:
        np.save(file, one.read_chunk(chunk))


def _content(
    subject: Subject, index: Index, rows: CollectedRows, text: CollectedText
) -> dict[str, Any]:
    """What determines a file's content, besides the draw of its contexts."""
    return {
        "targets": list(rows.names),
        "extra": [repr(column) for column in rows.extra.values()],
        "subject": subject.revision,
        "corpus": index.corpus_sha256,
        "text": hashlib.sha256(text.contexts.tokens.tobytes()).hexdigest(),
    }


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    said: set[str] = set()

    def say_once(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return say_once


def _sample_contexts(index: Index, split: Split, max_contexts: int, seed: int) -> CollectedText:
    reader = reader_of(index, split)
    contexts, documents = reader.contexts(), reader.document_numbers()
    numbers = np.arange(len(contexts), dtype=np.int32)
    if len(numbers) > max_contexts:
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        numbers = np.sort(rng.choice(numbers, max_contexts, replace=False))
    sample = Contexts(
        contexts.tokens[numbers],
        contexts.length[numbers],
        contexts.document[numbers],
        contexts.split[numbers],
        contexts.documents,
    )
    groups = np.array([row.group for row in contexts.documents], np.int32)
    return CollectedText(sample, numbers, documents[sample.document], groups[sample.document])


def _is_complete(path: Path, metadata: dict[str, Any]) -> bool:
    """Whether the file is there; raises UsageError if it has other activations."""
    if not path.exists():
        return False
    try:
        present = Collected(path).metadata
    except CorruptError:
        return False
    if present != metadata:
        differing = ", ".join(key for key in metadata if present.get(key) != metadata[key])
        raise UsageError(
            f"{path} holds activations of another {differing}; give another folder, or delete it"
        )
    return True


@dataclass(frozen=True)
class CollectedChunk:
    """A file with the activations of each `count`-th batch of a split, beginning with `number`, from 0."""

    path: Path
    number: int
    count: int


class _Array(NamedTuple):
    """An array of the file: its safetensors type, its numpy type and its shape."""

    label: str
    dtype: type
    shape: tuple[int, ...]


@dataclass
class _Pass:
    """The pass over one split; `done` and `total` count tokens of all splits."""

    subject: Subject
    sources: Sequence[SourceRequests]
    rows: CollectedRows
    split: Split
    text: CollectedText
    metadata: dict[str, Any]
    done: int
    total: int
    progress: Callable[[Progress], None] | None

    def write(
        self, path: Path, chunks: Callable[[Split], Iterable[CollectedChunk]] | None = None
    ) -> None:
        """Fill the split's file, from chunks if they are given, and put it in its place."""
        contexts = self.text.contexts
        per_context = _Array("I32", np.int32, contexts.length.shape)
        arrays = {
            "activations": _Array(
                "F16", np.float16, (len(self.rows.names), *contexts.tokens.shape)
            ),
            "tokens": _Array("I32", np.int32, contexts.tokens.shape),
            "length": per_context,
            "document": per_context,
            "group": per_context,
            "context": per_context,
        }
        with atomic_file(path) as part:
            offsets = _allocate(part, arrays, self.metadata)
            mapped = {
                name: np.memmap(part, array.dtype, "r+", offsets[name], array.shape)
                for name, array in arrays.items()
                if np.prod(array.shape)
            }
            if not mapped:
                return
            mapped["tokens"][:], mapped["length"][:] = contexts.tokens, contexts.length
            mapped["document"][:], mapped["context"][:] = self.text.document, self.text.numbers
            mapped["group"][:] = self.text.group
            if chunks is None:
                self._fill(mapped["activations"])
            for chunk in chunks(self.split) if chunks else ():
                places = np.concatenate([*self._batches(chunk), np.zeros(0, np.int64)])
                mapped["activations"][:, places] = np.load(chunk.path, mmap_mode="r")
                _give_back(mapped["activations"])
                chunk.path.unlink()
            self._arrange(mapped["activations"])
            for array in mapped.values():
                array.flush()

    def _batches(self, chunk: CollectedChunk | None = None) -> Iterator[Int[np.ndarray, " batch"]]:
        """The contexts of each batch of a chunk, or of all."""
        order = np.argsort(-self.text.contexts.length.astype(np.int64), kind="stable")
        size = batch_rows(self.text.contexts)
        first, step = (chunk.number, chunk.count) if chunk else (0, 1)
        for start in range(first * size, len(order), step * size):
            yield order[start : start + size]

    def _fill(self, activations: Float[np.ndarray, "row context seq"]) -> None:  # 2.
        for batch in self._batches():
            self._read(activations, batch, batch)
            _give_back(activations)
            self.done += int(self.text.contexts.length[batch].sum())
            if self.progress:
                self.progress(Progress(self.done, self.total, None, step="collect"))

    def read_chunk(self, chunk: CollectedChunk) -> Float[np.ndarray, "row context seq"]:
        """The activations of a chunk's contexts, batch after batch, before anything is arranged."""
        batches = list(self._batches(chunk))
        shape = len(self.rows.names), sum(map(len, batches)), self.text.contexts.tokens.shape[1]
        activations, start = np.zeros(shape, np.float16), 0
        for batch in batches:
            self._read(activations, batch, np.arange(start, start + len(batch)))
            start += len(batch)
        return activations

    def _read(
        self,
        activations: Float[np.ndarray, "row context seq"],
        batch: Int[np.ndarray, " batch"],
        places: Int[np.ndarray, " batch"],
    ) -> None:
        """Write the activations of one batch of contexts into these places of the array."""
        length = self.text.contexts.length[batch].astype(np.int64)
        tokens = self.text.contexts.tokens[batch, : length[0]]
        ids = torch.from_numpy(tokens.astype(np.int64)).to(self.subject.device)
        text = ContextBatch(self.text.numbers[batch], length, ids)
        real = np.arange(tokens.shape[1]) < length[:, None]
        sources = set(self.rows.sources)
        captured: dict[Site, Tensor] = {}

        def write(rows: Sequence[int], values: Float[Tensor, "batch seq row"]) -> None:  # 3.
            array = np.where(real[..., None], values.float().cpu().numpy(), 0)
            self._check_finite(rows, array, batch)
            # Position 0 does not count, and is often far beyond float16 (an attention sink).
            array[:, 0] = np.clip(array[:, 0], -LARGEST, LARGEST)
            signal = to_float16(array)
            index = np.array(rows)[:, None], places, slice(tokens.shape[1])
            activations[index] = signal.transpose(2, 0, 1)

        def consume(site: Site, values: Float[Tensor, "batch seq column"]) -> None:
            if site in self.rows.by_site:
                rows, columns = self.rows.by_site[site]
                write(rows, values[..., columns] if site in sources else values)
            if site in sources:
                captured[site] = values

        for source, requests in self.sources:
            source.read(text, requests, consume)
        for row, column in self.rows.extra.items():
            write([row], column.values(captured, ids)[..., None])

    def _check_finite(
        self,
        rows: Sequence[int],
        values: Float[np.ndarray, "batch seq row"],
        batch: Int[np.ndarray, " batch"],
    ) -> None:
        """Raise UsageError that names a target, and the document, with no finite number."""
        for context, _, row in np.argwhere(~np.isfinite(values))[:1]:
            contexts = self.text.contexts
            document = contexts.documents[contexts.document[batch[context]]].id
            place = f"{self.rows.names[rows[row]]}, in document {document!r}"
            refuse(self.subject.name, self.subject.dtype, place)

    def _arrange(self, activations: Float[np.ndarray, "row context seq"]) -> None:  # 4.
        length = self.text.contexts.length
        real = np.arange(activations.shape[2]) < length[:, None]
        for row, column in self.rows.extra.items():
            values = np.asarray(activations[row], np.float32)
            activations[row] = to_float16(column.arrange(values, length, self.split) * real)


def _give_back(array: np.ndarray) -> None:
    """Unmap the pages of a memory-mapped file that were written; the system keeps what is in them."""
    pages = getattr(array, "_mmap", None)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def _allocate(path: Path, arrays: Mapping[str, _Array], metadata: dict[str, Any]) -> dict[str, int]:
    """Make a safetensors file of the right size, all zeros; returns each array's offset.

    The disk's blocks are taken now. A write through the memory map to a full disk could not raise
    an error: the system would end the process (SIGBUS).
    """
    header: dict[str, Any] = {"__metadata__": {"collected": json.dumps(metadata)}}
    starts: dict[str, int] = {}
    end = 0
    for name, array in arrays.items():
        starts[name] = end
        end += int(np.prod(array.shape)) * np.dtype(array.dtype).itemsize
        offsets = [starts[name], end]
        header[name] = {"dtype": array.label, "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        reserve(file, 8 + len(text) + end)
    return {name: 8 + len(text) + start for name, start in starts.items()}
