"""The collect pass: the activations of a run's targets at every token of each split, into the run's
folder.

1. Of each split take all contexts, or a random `max_contexts` of them.
2. Read them in batches of like length, the forward pass stopping at the deepest site that any
   target needs.
3. Write each target's activations into its place of a file that is mapped into memory, so that the
   targets may be many.
4. Nulls and controls are columns beside the targets; what needs a whole split at once (`arrange`)
   comes last.

A split's file appears when it is whole; a killed pass goes on with the next split.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..corpus import SPLITS, Contexts, Split
from ..errors import CorruptError, UsageError
from ..files import atomic_file, writing
from ..subject.address import Site, Unit
from ..subject.subject import Subject
from .batch_plan import BATCH
from .build import Progress
from .collected import Collected
from .float16_file import to_float16
from .index import Index, reader_of

FILES = tuple(f"{split}.safetensors" for split in SPLITS)


class Column(Protocol):
    """What is collected beside real units; `tools.subject.nulls` has them.

    `values` are raw activations of a batch, from what was captured at `sources`; `arrange` may
    reorder those of all contexts of a split.
    """

    @property
    def unit(self) -> Unit: ...
    @property
    def sources(self) -> tuple[Site, ...]: ...
    def values(
        self,
        captured: Mapping[Site, Float[Tensor, "batch seq column"]],
        ids: Int[Tensor, "batch seq"],
        /,
    ) -> Float[Tensor, "batch seq"]: ...
    def arrange(
        self,
        values: Float[np.ndarray, "context seq"],
        length: Int[np.ndarray, " context"],
        split: str,
        /,
    ) -> Float[np.ndarray, "context seq"]: ...


def collect(
    subject: Subject,
    index: Index,
    targets: Sequence[Unit],
    out: Path | str,
    *,
    max_contexts: int = 2000,
    seed: int = 0,
    extra: Sequence[Column] = (),
    progress: Callable[[Progress], None] | None = None,
) -> None:
    """Write explore, select and holdout.safetensors into the folder `out`; files that are there
    whole are kept.

    Args:
        targets: units; their sides play no part, and doubles are dropped.
        extra: nulls and controls, found afterwards under the address of their `unit`.
        progress: called after each batch.

    Raises:
        UsageError: no targets, a unit that the subject lacks or that is there twice, another subject than the index's,
            or files of other targets in the folder.
        UnavailableError: the disk is full or not to be written to.
    """
    subject.require_revision(index.subject_revision, "the index")
    if max_contexts < 1:
        raise UsageError(
            f"max_contexts={max_contexts} given; at least one context a split is needed"
        )
    columns = _columns(subject, targets, extra)
    out = Path(out)
    work: list[tuple[Split, _Text]] = [
        (split, _text(index, split, max_contexts, seed)) for split in SPLITS
    ]
    total, done = sum(int(text.contexts.length.sum()) for _, text in work), 0
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    for split, text in work:
        path = out / f"{split}.safetensors"
        metadata = _metadata(subject, index, columns, split, max_contexts, seed, text)
        if not _is_there(path, metadata):
            _Pass(subject, columns, split, text, metadata, done, total, progress).write(path)
        done += int(text.contexts.length.sum())
        if progress:
            progress(Progress(done, total, None, step="collect"))


@dataclass(frozen=True)
class _Columns:
    """Rows of the activations: real units by site (row, column), and then the others."""

    names: tuple[str, ...]
    real: Mapping[Site, tuple[list[int], list[int]]]
    extra: Sequence[Column]

    @property
    def sites(self) -> list[Site]:
        return list(
            dict.fromkeys([*self.real, *(site for column in self.extra for site in column.sources)])
        )


@dataclass(frozen=True)
class _Text:
    contexts: Contexts
    numbers: Int[np.ndarray, " context"]
    document: Int[np.ndarray, " context"]


def _columns(subject: Subject, targets: Sequence[Unit], extra: Sequence[Column]) -> _Columns:
    units = list(dict.fromkeys(unit.unsided for unit in targets))
    real: dict[Site, tuple[list[int], list[int]]] = {}
    for row, unit in enumerate(units):
        rows, places = real.setdefault(unit.place, ([], []))
        rows.append(row)
        places.append(subject.shape.column(unit))
    names = tuple(str(unit) for unit in (*units, *(column.unit.unsided for column in extra)))
    if not names:
        raise UsageError("no targets to collect; give at least one")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(
            f"{twice!r} is to be collected twice; a null or control needs an address of its own"
        )
    return _Columns(names, real, extra)


def _text(index: Index, split: Split, max_contexts: int, seed: int) -> _Text:
    reader = reader_of(index, split)
    contexts, documents = reader.contexts(), reader.document_numbers()
    numbers = np.arange(len(contexts), dtype=np.int32)
    if len(numbers) > max_contexts:
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        numbers = np.sort(rng.choice(numbers, max_contexts, replace=False))
    part = Contexts(
        contexts.tokens[numbers],
        contexts.length[numbers],
        contexts.document[numbers],
        contexts.split[numbers],
        contexts.documents,
    )
    return _Text(part, numbers, documents[part.document])


def _metadata(
    subject: Subject,
    index: Index,
    columns: _Columns,
    split: str,
    max_contexts: int,
    seed: int,
    text: _Text,
) -> dict[str, Any]:
    return {
        "targets": list(columns.names),
        "extra": [repr(column) for column in columns.extra],
        "split": split,
        "subject": subject.revision,
        "corpus": index.corpus_sha256,
        "max_contexts": max_contexts,
        "seed": seed,
        "text": hashlib.sha256(text.contexts.tokens.tobytes()).hexdigest(),
    }


def _is_there(path: Path, metadata: dict[str, Any]) -> bool:
    if not path.exists():
        return False
    try:
        found = Collected(path).metadata
    except CorruptError:
        return False
    if found != metadata:
        differing = ", ".join(key for key in metadata if found.get(key) != metadata[key])
        raise UsageError(
            f"{path} holds activations of another {differing}; give another folder, or delete it"
        )
    return True


@dataclass
class _Pass:
    subject: Subject
    columns: _Columns
    split: Split
    text: _Text
    metadata: dict[str, Any]
    done: int
    total: int
    progress: Callable[[Progress], None] | None

    def write(self, path: Path) -> None:
        """Fill the split's file and put it in its place."""
        contexts = self.text.contexts
        arrays = {
            "activations": ("F16", np.float16, (len(self.columns.names), *contexts.tokens.shape)),
            "tokens": ("I32", np.int32, contexts.tokens.shape),
            "length": ("I32", np.int32, contexts.length.shape),
            "document": ("I32", np.int32, contexts.length.shape),
            "context": ("I32", np.int32, contexts.length.shape),
        }
        with atomic_file(path) as part:
            places = _lay_out(part, arrays, self.metadata)
            mapped = {
                name: np.memmap(part, kind, "r+", places[name], shape)
                for name, (_, kind, shape) in arrays.items()
                if np.prod(shape)
            }
            if not mapped:
                return
            mapped["tokens"][:], mapped["length"][:] = contexts.tokens, contexts.length
            mapped["document"][:], mapped["context"][:] = self.text.document, self.text.numbers
            self._fill(mapped["activations"])
            self._arrange(mapped["activations"])
            for array in mapped.values():
                array.flush()

    def _fill(self, activations: np.ndarray) -> None:
        contexts = self.text.contexts
        order = np.argsort(-contexts.length.astype(np.int64), kind="stable")
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            length = contexts.length[rows].astype(np.int64)
            self._batch(activations, rows, contexts.tokens[rows, : length[0]], length)
            self.done += int(length.sum())
            if self.progress:
                self.progress(Progress(self.done, self.total, None, step="collect"))

    def _batch(
        self,
        activations: np.ndarray,
        rows: Int[np.ndarray, " batch"],
        tokens: Int[np.ndarray, "batch seq"],
        length: Int[np.ndarray, " batch"],
    ) -> None:
        ids = torch.from_numpy(tokens.astype(np.int64)).to(self.subject.device)
        real = np.arange(tokens.shape[1]) < length[:, None]
        kept: dict[Site, Tensor] = {}
        needed = {site for column in self.columns.extra for site in column.sources}

        def put(places: Sequence[int], values: Float[Tensor, "batch seq column"]) -> None:
            found = to_float16(values.float().cpu().numpy() * real[..., None]).transpose(2, 0, 1)
            activations[np.array(places)[:, None], rows, : tokens.shape[1]] = found

        def consume(site: Site, values: Float[Tensor, "batch seq column"]) -> None:
            if site in self.columns.real:
                places, columns = self.columns.real[site]
                put(places, values[..., columns])
            if site in needed:
                kept[site] = values

        if self.columns.sites:
            self.subject.stream(ids, self.columns.sites, consume)
        for row, column in enumerate(
            self.columns.extra, start=len(self.columns.names) - len(self.columns.extra)
        ):
            put([row], column.values(kept, ids)[..., None])

    def _arrange(self, activations: np.ndarray) -> None:
        length = self.text.contexts.length
        real = np.arange(activations.shape[2]) < length[:, None]
        for row, column in enumerate(
            self.columns.extra, start=len(self.columns.names) - len(self.columns.extra)
        ):
            values = np.asarray(activations[row], np.float32)
            activations[row] = to_float16(column.arrange(values, length, self.split) * real)


def _lay_out(
    path: Path, arrays: Mapping[str, tuple[str, type, tuple[int, ...]]], metadata: dict[str, Any]
) -> dict[str, int]:
    """Make a safetensors file of the right size, zero throughout; returns where each array begins."""
    header: dict[str, Any] = {"__metadata__": {"collected": json.dumps(metadata)}}
    end = 0
    begins: dict[str, int] = {}
    for name, (label, kind, shape) in arrays.items():
        begins[name] = end
        end += int(np.prod(shape)) * np.dtype(kind).itemsize
        header[name] = {"dtype": label, "shape": list(shape), "data_offsets": [begins[name], end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return {name: 8 + len(text) + begin for name, begin in begins.items()}
