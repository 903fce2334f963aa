"""The stores of an index that is being built: what they will take, and a recorder for each split."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ...corpus import Contexts, Split
from ...errors import UsageError
from ...subject.subject import Subject
from ..batch_plan import reading_order
from .layout import STORE, StoreOrigin, store_folder
from .plan import StorePlan, plan_store
from .recorder import StoreRecorder
from .writer import SplitStoreWriter

StoreChoice = Literal["auto", "all", "none"] | Sequence[int]
DISK_SHARE = 0.25
"""`auto` keeps a store that takes at most this share of the free disk."""
PROBED_CONTEXTS, PROBED_TOKENS = 4, 32
"""The plan is made from the first tokens of a few contexts, a hundredth of a batch's time."""


@dataclass(frozen=True)
class StoreFolder:
    """Where and how an index's stores are written."""

    subject: Subject
    out: Path
    arrays: StorePlan
    origin: StoreOrigin
    say: Callable[[str], None]

    @classmethod
    def plan(
        cls,
        subject: Subject,
        contexts: Contexts,
        out: Path,
        choice: StoreChoice,
        indexed: Sequence[int],
        settings: dict[str, Any],
        say: Callable[[str], None],
    ) -> StoreFolder | None:
        """Plan the stores and say what they take; None if there are to be none.

        Args:
            indexed: the layers that the pass reads anyway, which "all" and "auto" store.

        Raises:
            UsageError: a layer that the subject does not have, or more than the free disk holds.
        """
        if choice == "none":
            return None
        layers = sorted(set(indexed if isinstance(choice, str) else choice))
        for layer in layers:
            subject.shape.check_layer(layer, f"--store {layer}")
        read = reading_order(contexts.length)[:PROBED_CONTEXTS]
        if not len(read):
            return None
        width = min(int(contexts.length[read[-1]]), PROBED_TOKENS)
        ids = torch.from_numpy(contexts.tokens[read, :width].astype(np.int64))
        plan = plan_store(subject, ids.to(subject.device), layers)
        for note in plan.notes:
            say(note)
        size = int(contexts.length[contexts.length > 1].sum()) * plan.bytes_a_token
        free = shutil.disk_usage(out).free
        if choice == "auto" and size > DISK_SHARE * free:
            say(
                f"no activation store: it would take {size / 1e9:.1f} GB, more than a quarter of the "
                f"{free / 1e9:.1f} GB that are free (--store all keeps it, --store LAYERS a part)"
            )
            return None
        if size > free:
            raise UsageError(
                f"the activation store takes {size / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free; "
                "make room, or give --store LAYERS or none"
            )
        say(f"activation store: {size / 1e9:.2f} GB of the {free / 1e9:.1f} GB that are free")
        origin = StoreOrigin(
            subject.revision,
            str(subject.dtype).removeprefix("torch."),
            settings["corpus"]["sha256"],
            settings["contexts"],
        )
        return cls(subject, out, plan, origin, say)

    def recorder(self, split: Split) -> StoreRecorder:
        """A recorder of one split's pass."""
        folder = store_folder(self.out, split)
        writer = SplitStoreWriter(folder, self.arrays.arrays, self.origin)
        return StoreRecorder(self.subject, self.arrays, writer, self.say)


def delete_stores(index: Path) -> None:
    """Delete an index's stores; it works without them."""
    shutil.rmtree(index / STORE)
