"""Activations on an index's text: from its store where it has them, else from a pass of the subject.

Both sources answer the same question, so that what reads activations does not know where they come
from: `SubjectSource` runs the model up to the deepest site asked for, `StoredSource` computes the
columns asked for from stored vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ...corpus import Split
from ...errors import ArgumentError
from ...subject.address import Site, Unit
from ...subject.subject import Subject
from ..batch_plan import batch_rows, reading_order
from ..index import Index, reader_of, store_of
from .balance import unbalanced
from .encoding import decode
from .layout import StoredArray
from .store import ActivationStore

Requests = Mapping[Site, Sequence[int] | None]
"""The columns needed of each site; None for all."""
Consume = Callable[[Site, Float[Tensor, "batch seq column"]], None]
Take = Callable[[StoredArray | None], Float[Tensor, "batch seq width"]]
"""Gives the rows of an array that are read now."""


class ContextBatch(NamedTuple):
    """Some contexts of a split, by their numbers, padded on the right with 0."""

    numbers: Int[np.ndarray, " batch"]
    length: Int[np.ndarray, " batch"]
    ids: Int[Tensor, "batch seq"]


class ActivationSource(Protocol):
    """Where the activations of some sites come from."""

    def read(self, batch: ContextBatch, requests: Requests, consume: Consume) -> None:
        """Hand on the requested columns of each site, raw, on the subject's device."""
        ...


@dataclass(frozen=True)
class SubjectSource:
    """Activations from a pass that stops at the deepest site."""

    subject: Subject

    def read(self, batch: ContextBatch, requests: Requests, consume: Consume) -> None:
        """Run the subject on the batch."""

        def pick(site: Site, values: Float[Tensor, "batch seq column"]) -> None:
            columns = requests[site]
            consume(site, values if columns is None else values[..., list(columns)])

        self.subject.stream(batch.ids, list(requests), pick)


@dataclass(frozen=True)
class StoredSource:
    """Activations from a store, to the rounding of its format."""

    subject: Subject
    store: ActivationStore

    def covers(self, site: Site) -> bool:
        """Whether the store has what the site's activations follow from."""
        has = self.store.array
        if site.kind == "sae":
            return self.covers(self.subject.shape.raw(site))
        if site.kind in ("mlp", "mlp_in"):
            return has("mlp_in", site.layer) is not None
        if site.kind == "head":
            return has("head", site.layer) is not None
        if site.kind in ("resid", "stream"):
            return (has("norm", site.layer) or has("stream", site.layer)) is not None
        return False

    def read(self, batch: ContextBatch, requests: Requests, consume: Consume) -> None:
        """Compute the batch from stored vectors."""
        take = partial(self._padded, batch)
        for site, columns in requests.items():
            consume(site, self._values(site, columns, take, batch.ids))

    def follows_token_by_token(self, site: Site) -> bool:
        """Whether `read_tokens` can compute the site: no unit of it depends on the text around."""
        return self.covers(site) and not (
            site.kind == "mlp" and self.subject.depends_on_text(site.layer)
        )

    def read_tokens(
        self, site: Site, rows: Int[np.ndarray, " token"], columns: Sequence[int] | None = None
    ) -> Float[Tensor, "token column"]:
        """A site's activations at single tokens.

        Args:
            rows: of the store, ascending.
        """

        def take(array: StoredArray | None) -> Float[Tensor, "1 token width"]:
            assert array is not None  # `covers` was asked
            return self._decoded(array, self.store.read_rows(array, rows))[None]

        ids = torch.zeros((1, len(rows)), dtype=torch.long)
        return self._values(site, columns, take, ids)[0]

    @torch.inference_mode()
    def _values(
        self, site: Site, columns: Sequence[int] | None, take: Take, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq column"]:
        array, layer = self.store.array, site.layer
        if site.kind == "sae":
            raw = self._values(self.subject.shape.raw(site), None, take, ids)
            return self.subject.dictionaries[site.name].encode(raw, columns)
        if site.kind == "mlp":
            return self.subject.neurons_from(layer, take(array("mlp_in", layer)), ids, columns)
        if site.kind == "resid":  # of thousands of directions, compute those that are needed
            directions = list(self.subject.directions[layer].values())
            chosen = directions if columns is None else [directions[c] for c in columns]
            return self._stream(layer, take) @ torch.stack(chosen).float().T
        if site.kind == "stream":
            values = self._stream(layer, take)
        else:
            values = take(array("mlp_in" if site.kind == "mlp_in" else "head", layer))
        return values if columns is None else values[..., list(columns)]

    def _stream(self, layer: int, take: Take) -> Float[Tensor, "batch seq d_model"]:
        if stored := self.store.array("stream", layer):
            return take(stored)
        mlp_in = take(self.store.array("mlp_in", layer))
        return self.subject.stream_from(layer, mlp_in, take(self.store.array("norm", layer)))

    def _padded(
        self, batch: ContextBatch, array: StoredArray | None
    ) -> Float[Tensor, "batch seq width"]:
        """The batch's rows of an array; zeros after a context's end."""
        assert array is not None  # `covers` was asked
        stored = self.store.read_contexts(array, batch.numbers, batch.length)
        rows = self._decoded(array, stored)
        shape = (*batch.ids.shape, array.width)
        if rows.shape[0] != shape[0] * shape[1]:
            real = np.arange(shape[1]) < batch.length[:, None]
            real &= (self.store.start[batch.numbers] >= 0)[:, None]
            padded = torch.zeros(shape, device=rows.device)
            padded[torch.from_numpy(real).to(rows.device)] = rows
            rows = padded
        return rows.reshape(shape)

    def _decoded(
        self, array: StoredArray, stored: Shaped[np.ndarray, " token ..."]
    ) -> Float[Tensor, "token width"]:
        rows = decode(stored, array).to(self.subject.device)
        if array.encoding == "int8" and array.layer is not None:
            rows = unbalanced(self.subject, array.layer, rows)
        return rows


def stored_source(
    subject: Subject, index: Index, split: Split, say: Callable[[str], None] = lambda line: None
) -> StoredSource | None:
    """The source over a split's store; None where there is none for this subject."""
    store = store_of(index, split)
    if store is None:
        return None
    dtype = str(subject.dtype).removeprefix("torch.")
    if (store.origin.subject, store.origin.dtype) != (subject.revision, dtype):
        say(
            f"the activation store of {index.path} was made by {store.origin.subject} in "
            f"{store.origin.dtype}, not by {subject.revision} in {dtype}: the subject is run instead"
        )
        return None
    subject.offer_stored(partial(stored_units, subject, index))
    return StoredSource(subject, store)


def stored_units(
    subject: Subject,
    index: Index,
    split: Split,
    units: Sequence[Unit],
    rows: Int[np.ndarray, " context"] | None = None,
) -> Float[np.ndarray, "unit context seq"] | None:
    """Raw activations of units at every token of a split; None where they are not stored.

    Args:
        rows: only these contexts, in this order; by default all.
    """
    store = store_of(index, split)
    source = StoredSource(subject, store) if store else None
    if source is None or not all(source.covers(unit.place) for unit in units):
        return None
    contexts = reader_of(index, split).contexts()
    rows = np.arange(len(contexts)) if rows is None else rows
    values = np.zeros((len(units), len(rows), contexts.tokens.shape[1]), np.float32)
    requests = {
        unit.place: [subject.shape.column(u) for u in units if u.place == unit.place]
        for unit in units
    }
    order = reading_order(contexts.length[rows])
    step = batch_rows(contexts)
    for start in range(0, len(order), step):
        slots = order[start : start + step]
        numbers = rows[slots]
        length = contexts.length[numbers].astype(np.int64)
        ids = torch.from_numpy(contexts.tokens[numbers, : length[0]].astype(np.int64))

        def keep(site: Site, read: Float[Tensor, "batch seq column"], slots=slots) -> None:
            places = [i for i, unit in enumerate(units) if unit.place == site]
            values[np.array(places)[:, None], slots, : read.shape[1]] = np.moveaxis(
                read.float().cpu().numpy(), -1, 0
            )

        source.read(ContextBatch(numbers, length, ids.to(subject.device)), requests, keep)
    return values


def open_stored_source(
    subject: Subject,
    index: Index,
    split: Literal["explore", "select"] = "explore",
    say: Callable[[str], None] = lambda line: None,
) -> StoredSource | None:
    """The source over the store of a split that may be looked at; None where there is none.

    Raises:
        ArgumentError: the split is the holdout, which only verification reads.
        CorruptError: the store is damaged.
    """
    if split not in ("explore", "select"):
        raise ArgumentError(f"split {split!r} given; explore and select can be read")
    return stored_source(subject, index, split, say)


class SourceRequests(NamedTuple):
    """A source, and what is read from it."""

    source: ActivationSource
    requests: Requests


def choose_sources(
    subject: Subject,
    index: Index,
    split: Split,
    requests: Requests,
    say: Callable[[str], None] = lambda line: None,
) -> list[SourceRequests]:
    """Where each site of a split comes from: the store as far as it goes, and a pass for the rest.

    Args:
        say: called with a line about what an existing store does not have.

    Raises:
        CorruptError: the store is damaged.
    """
    stored = stored_source(subject, index, split, say)
    from_store = {s: columns for s, columns in requests.items() if stored and stored.covers(s)}
    from_pass = {s: columns for s, columns in requests.items() if s not in from_store}
    if stored and from_pass:
        sites = ", ".join(map(str, from_pass))
        say(f"not in the activation store of {index.path}, so the subject is run: {sites}")
    sources: list[SourceRequests] = []
    if stored and from_store:
        sources.append(SourceRequests(stored, from_store))
    if from_pass:
        sources.append(SourceRequests(SubjectSource(subject), from_pass))
    return sources


def explore_sources(subject: Subject, index: Index, requests: Requests) -> list[SourceRequests]:
    """Like `choose_sources` for explore; for what may not see other splits.

    Raises:
        CorruptError: the store is damaged.
    """
    return choose_sources(subject, index, "explore", requests)
