"""The stores of an index that is being written: what they will take, and a recorder for each split.

1. Plan the arrays and compare their size with the free disk, before the pass.
2. `work/plan.json` says what was begun. A later start with another plan begins again.
3. Each split's store is written by the pass that indexes the split where that is possible, else by a
   separate pass afterwards (`store_pass`).
4. A disk that fills up, at any moment, costs all stores of the index: they are deleted, and the index
   goes on without them. A shard ends instead, and goes on when there is room: the merge needs all
   stores, or none.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ...corpus import SPLITS, Contexts, Split
from ...errors import UnavailableError, UsageError
from ...files.sealed_json import read_sealed, write_sealed
from ...files.sizes import readable_size
from ...subject.subject import Subject
from ..batch_plan import reading_order
from ..shards.shard import WHOLE, Shard
from .layout import DESCRIPTION, STORE, WORK, StoreOrigin, store_bytes, store_folder
from .plan import StoreBits, StorePlan, plan_store
from .recorder import StoreRecorder, fills_disk
from .store import ActivationStore
from .writer import SplitStoreWriter

PLAN = "plan.json"
StoreChoice = Literal["auto", "all", "none"] | Sequence[int]
DISK_SHARE = 0.25
"""`auto` keeps a store that takes at most this share of the free disk."""
PROBED_CONTEXTS, PROBED_TOKENS = 4, 32
"""The plan is made from the first tokens of a few contexts, a thirtieth of a batch's time."""
PROBED_FOR_8_BITS = 16, 64
"""The same for 8 bits: correlations are measured, which takes about a thousand tokens."""


@dataclass
class StoreFolder:
    """Where and how an index's stores are written.

    Attributes:
        say: called with a line about their size.
        warn: called with a line about what is left out, or made again.
        required: whether the pass ends where they cannot be written, instead of going on without.
        failed: whether they were given up.
    """

    subject: Subject
    index: Path
    plan: StorePlan
    origin: StoreOrigin
    say: Callable[[str], None]
    warn: Callable[[str], None]
    required: bool = False
    failed: bool = False
    _said: set[str] = field(default_factory=set)

    @property
    def work(self) -> Path:
        """The folder of what is needed only until all splits have a store."""
        return self.index / STORE / WORK

    def missing(self) -> list[Split]:
        """The splits that have no store yet; none when the stores were given up."""
        if self.failed:
            return []
        return [s for s in SPLITS if not (store_folder(self.index, s) / DESCRIPTION).exists()]

    def begin(self, choice: StoreChoice, tokens: int) -> None:
        """Go on with what was begun by the same plan, or begin.

        Args:
            tokens: in all splits.

        Raises:
            UsageError: it takes more than the free disk.
        """
        self._keep_or_delete()
        total, fits = tokens * self.plan.bytes_a_token, self.fits(tokens)
        present = store_bytes(self.index)
        size, free = max(total - present, 0), shutil.disk_usage(self.index).free
        advice = f"{readable_size(free)} that are free"
        if choice == "auto" and not fits:
            self.failed = True
            self.warn(
                f"no activation store: it would take {readable_size(size)}, more than a quarter of the "
                f"{advice} (--store all keeps it, --store LAYERS a part, --store-bits 8 half)"
            )
            return
        if size > free:
            raise UsageError(
                f"the activation store takes {readable_size(size)}, more than the {advice}; "
                "make room, or give --store LAYERS, --store-bits 8, or --store none"
            )
        self.say(f"activation store: {readable_size(total)} on a disk with {advice}")
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            write_sealed(self.work / PLAN, self._content())
        except (OSError, UnavailableError) as error:
            if not fills_disk(error):
                raise
            self.give_up("the disk is full")

    def fits(self, tokens: int) -> bool:
        """Whether stores of so many tokens take no more than `DISK_SHARE`; begun ones do."""
        free = shutil.disk_usage(self.index).free
        begun = bool(store_bytes(self.index))
        return begun or tokens * self.plan.bytes_a_token <= DISK_SHARE * free

    def recorder(self, split: Split) -> StoreRecorder | None:
        """A recorder of one split's pass; None where its store is there or given up."""
        if split not in self.missing():
            return None
        try:
            folder = store_folder(self.index, split)
            writer = SplitStoreWriter(folder, self.plan.arrays, self.origin.of(split))
        except OSError as error:
            if not fills_disk(error):
                raise
            self.give_up("the disk is full")
            return None
        return StoreRecorder(self.subject, self.plan, writer, self._warn_once, self.give_up)

    def give_up(self, reason: str) -> None:
        """Delete all stores, and the index goes on without; raises UnavailableError if they are required."""
        if self.required:
            raise UnavailableError(
                f"{self.index} cannot keep its activation store: {reason}; make room, and the same command "
                "continues, or begin again with --store none"
            )
        self.failed = True
        delete_stores(self.index)
        self.warn(
            f"the index goes on without an activation store: {reason}. Repeat the same `hubel index` "
            "with more room, or with --store LAYERS, to add one"
        )

    def close(self) -> None:
        """Delete what is needed only while the stores are written."""
        if not self.missing():
            shutil.rmtree(self.work, ignore_errors=True)

    def _keep_or_delete(self) -> None:
        """Delete stores that were begun by another plan."""
        folder = self.index / STORE
        if not folder.exists():
            return
        begun: Mapping[str, Any] = {}
        with suppress(OSError, ValueError):
            begun = read_sealed(self.work / PLAN)
        if begun != self._content():
            delete_stores(self.index)
            self.warn(
                f"{folder} was begun with other layers or another number format, or is damaged: "
                "it is written again"
            )

    def _content(self) -> dict[str, Any]:
        arrays = [array.to_json() for array in self.plan.arrays]
        return {"origin": asdict(self.origin), "arrays": arrays}

    def _warn_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.warn(line)


def plan_stores(
    subject: Subject,
    contexts: Contexts,
    index: Path,
    choice: StoreChoice,
    bits: StoreBits | None,
    indexed: Sequence[int],
    settings: Mapping[str, Any],
    say: Callable[[str], None],
    warn: Callable[[str], None],
    shard: Shard = WHOLE,
) -> StoreFolder | None:
    """Plan the stores and say what they take; None if there is none to be written.

    Args:
        index: the index's folder, or that of a shard.
        bits: None for 16, or with "auto" for 8 if only they fit.
        indexed: the layers that the pass reads anyway, which "all" and "auto" store.
        settings: of the index.

    Raises:
        UsageError: a layer that the subject does not have, or more than the free disk holds.
        CorruptError: the index has its stores, and they are damaged.
    """
    if choice == "none":
        if not (index / "index.json").exists():
            delete_stores(index)  # that an earlier start of the index began
        return None
    layers = sorted(set(indexed if isinstance(choice, str) else choice))
    for layer in layers:
        subject.shape.check_layer(layer, f"--store {layer}")
    dtype = str(subject.dtype).removeprefix("torch.")
    corpus = settings["corpus"]["sha256"]
    origin = StoreOrigin(subject.revision, dtype, corpus, settings["contexts"], "explore")
    folders = [store_folder(index, split) for split in SPLITS]
    if all((folder / DESCRIPTION).exists() for folder in folders):
        shutil.rmtree(index / STORE / WORK, ignore_errors=True)
        asked = [] if choice == "auto" else layers
        if shard == WHOLE:  # the merge holds those of shards against each other
            _check_finished(index, contexts, origin, asked, bits, warn)
        return None
    bits = bits or _begun_bits(index)
    tokens = int(contexts.length[contexts.length > 1].sum(dtype=np.int64)) // shard.count
    plan = _probe(subject, contexts, layers, bits or 16)
    stores = StoreFolder(subject, index, plan, origin, say, warn, required=shard != WHOLE)
    if choice == "auto" and bits is None and not stores.fits(tokens):
        stores.plan = _probe(subject, contexts, layers, 8)
    for note in stores.plan.notes:
        warn(note)
    if not stores.plan.layers:
        warn("no activation store: no layer can be stored")
        return None
    stores.begin(choice, tokens)
    return stores


def _begun_bits(index: Path) -> StoreBits | None:
    """The bits of stores that an earlier start began; None if it began none."""
    try:
        arrays = read_sealed(index / STORE / WORK / PLAN)["arrays"]
        return _bits_of(array["encoding"] for array in arrays)
    except (OSError, ValueError, LookupError, TypeError):
        return None


def delete_stores(index: Path) -> None:
    """Delete an index's stores, if any; it works without them."""
    shutil.rmtree(index / STORE, ignore_errors=True)


def _bits_of(encodings: Iterable[str]) -> StoreBits:
    return 8 if "int8" in encodings else 16


def _probe(
    subject: Subject, contexts: Contexts, layers: Sequence[int], bits: StoreBits
) -> StorePlan:
    """Plan from the first tokens of the longest contexts."""
    n_contexts, n_tokens = PROBED_FOR_8_BITS if bits == 8 else (PROBED_CONTEXTS, PROBED_TOKENS)
    read = reading_order(contexts.length)[:n_contexts]
    if not len(read):
        return StorePlan({}, None, (), bits)
    width = min(int(contexts.length[read[-1]]), n_tokens)
    ids = torch.from_numpy(contexts.tokens[read, :width].astype(np.int64))
    return plan_store(subject, ids.to(subject.device), layers, bits)


def _check_finished(
    index: Path,
    contexts: Contexts,
    origin: StoreOrigin,
    layers: Sequence[int],
    bits: StoreBits | None,
    warn: Callable[[str], None],
) -> None:
    """Say where finished stores are not those that were asked for; they are left as they are."""
    for split in SPLITS:
        length = contexts.length[contexts.rows_of(split)]
        store = ActivationStore(store_folder(index, split), length)
        again = f"to make it again, delete {index / STORE} and repeat the same command"
        if differing := store.origin.differing(origin.of(split)):
            warn(f"the activation store of {index} was made from another {differing}; {again}")
            return
        if missing := [str(n) for n in layers if store.array("mlp_in", n) is None]:
            named = f"layer{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
            warn(f"the activation store of {index} does not have {named}; {again}")
            return
        if bits and bits != _bits_of(array.encoding for array in store.arrays.values()):
            warn(f"the activation store of {index} does not have {bits} bits per number; {again}")
            return
