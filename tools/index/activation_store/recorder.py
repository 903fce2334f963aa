"""Hands what a pass computes to the writer of a store, batch by batch.

What cannot be stored is left out and said once: a layer with numbers that are not finite or
beyond float16, or, when the disk is full, the whole store. The index does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import CorruptError, UnavailableError
from ...files.atomic import is_full_disk
from ...subject.address import Site
from ...subject.subject import Subject
from ..batch_plan import Batch
from ..float16_range import LARGEST
from .balance import balanced
from .encoding import encode
from .layout import StoredArray
from .losses import losses_and_entropies
from .plan import StorePlan
from .writer import SplitStoreWriter

CONTEXTS_AT_ONCE = 4
"""Contexts whose norms' statistics are computed at once, so that what lies between stays in a core's
cache: 0.6 MB for contexts of 64 tokens and 576 numbers a token."""


class StoreRecorder:
    """Records one split's pass.

    Attributes:
        active: whether it records; not after the store was given up or put off.
    """

    def __init__(
        self,
        subject: Subject,
        plan: StorePlan,
        writer: SplitStoreWriter,
        say: Callable[[str], None],
        give_up: Callable[[str], None],
    ) -> None:
        """Get ready.

        Args:
            say: called with a line about what is left out.
            give_up: called with a reason when there can be no store of any split.
        """
        self._subject, self._plan, self._say, self._give_up = subject, plan, say, give_up
        self._writer, self.active = writer, True
        self._mid: dict[int, Tensor] = {}
        self._padding, self._real = False, torch.zeros(0, dtype=torch.long)
        self._ids = torch.zeros((0, 0), dtype=torch.long)

    def resume(self, saved: dict[str, Any] | None, tokens: int) -> bool:
        """Go on after so many tokens; where that cannot be, stop and return False.

        Args:
            saved: what `checkpoint` returned; None if the pass so far recorded nothing.
        """
        reason, damaged = "an earlier start of the index made no store", False
        try:
            if saved is not None:
                self._writer.resume(saved)
                reason = "its files are not at the place where the pass goes on"
        except CorruptError as error:
            reason, damaged = str(error), True
        if damaged or self._writer.tokens != tokens:
            self.stop()
            self._say(f"{self._writer.folder} is written again in a separate pass: {reason}")
        return self.active

    def checkpoint(self) -> dict[str, Any] | None:
        """What `resume` needs; None if nothing is recorded."""
        with self.room():
            return self._writer.checkpoint() if self.active else None

    def finish(self) -> None:
        """Complete the split's store."""
        with self.room():
            if self.active:
                self._writer.finish()

    def stop(self) -> None:
        """Record no more, and delete what was recorded of this split."""
        self.active = False
        self._mid.clear()
        self._writer.discard()

    @contextmanager
    def room(self) -> Iterator[None]:
        """Where the disk fills up within the block, give up the store and go on after the block."""
        try:
            yield
        except (OSError, UnavailableError) as error:
            if not self.active or not fills_disk(error):
                raise
            self._give_up("the disk is full")
            self.stop()

    @property
    def sites(self) -> list[Site]:
        """What the pass must read for the store."""
        if not self.active:
            return []
        sites: list[Site] = []
        for layer, arrays in self._plan.layers.items():
            if self._writer.has(arrays.mlp_in):
                sites += [Site("mid", layer)] * (arrays.norm is not None)
                sites += [Site("mlp_in", layer), Site("head", layer)]
                sites += [Site("stream", layer)] * (arrays.stream is not None)
        if self._plan.loss:
            sites.append(Site("stream", self._subject.shape.n_layers - 1))
        return list(dict.fromkeys(sites))

    def begin(self, batch: Batch, ids: Float[Tensor, "batch seq"]) -> None:
        """Get ready for the values of a batch."""
        lengths = batch.lengths
        real = np.arange(ids.shape[1]) < lengths[:, None]
        self._padding = not real.all()
        self._real = torch.from_numpy(np.flatnonzero(real)).to(ids.device)
        self._ids = ids

    def take(self, site: Site, values: Float[Tensor, "batch seq width"]) -> None:
        """Store what the pass read at a site, if it belongs to the store."""
        arrays = self._plan.layers.get(site.layer)
        if not self.active:
            return
        if site.kind == "stream" and self._plan.loss and self._is_last(site):
            self._append(self._plan.loss, self._losses(values))
        if arrays is None or not self._writer.has(arrays.mlp_in):
            return
        if site.kind == "mid":
            self._mid[site.layer] = values
        elif site.kind == "mlp_in":
            self._append(arrays.mlp_in, values)
            mid = self._mid.pop(site.layer, None)
            if mid is not None and arrays.norm and self._writer.has(arrays.norm):
                self._append(arrays.norm, self._norm_statistics(site.layer, mid, values))
        elif site.kind == "head":
            self._append(arrays.head, values)
        elif site.kind == "stream" and arrays.stream:
            self._append(arrays.stream, values)

    def _is_last(self, site: Site) -> bool:
        return site.layer == self._subject.shape.n_layers - 1

    def _append(self, array: StoredArray, values: Float[Tensor, "batch seq width"]) -> None:
        if array.encoding == "int8" and array.layer is not None:
            values = balanced(self._subject, array.layer, values)
        encoded = encode(self._rows(values), array)
        if encoded is None:
            # Position 0 does not count, and is often far beyond float16 (an attention sink).
            clamped = torch.cat([values[:, :1].clamp(-LARGEST, LARGEST), values[:, 1:]], dim=1)
            encoded = encode(self._rows(clamped), array)
        if encoded is None:
            self._drop(array)
            return
        with self.room():
            self._writer.append(array, encoded)

    def _drop(self, array: StoredArray) -> None:
        """Leave out a layer that cannot be stored."""
        assert array.layer is not None  # losses are float32
        for of_layer in filter(None, self._plan.layers[array.layer]):
            self._writer.drop(of_layer)
        self._say(
            f"layer {array.layer} is not stored: {array.name} has numbers that are not finite or "
            "beyond float16; what needs it runs the subject"
        )
        if not any(self._writer.has(arrays.mlp_in) for arrays in self._plan.layers.values()):
            self._give_up("no layer can be stored")
            self.stop()

    def _rows(self, values: Float[Tensor, "batch seq width"]) -> Float[Tensor, "token width"]:
        """Those of real tokens, one after the other; not a copy where there is no padding."""
        rows = values.flatten(0, 1)
        return rows.index_select(0, self._real) if self._padding else rows

    def _norm_statistics(
        self,
        layer: int,
        mid: Float[Tensor, "batch seq d_model"],
        mlp_in: Float[Tensor, "batch seq d_model"],
    ) -> Float[Tensor, "batch seq statistic"]:
        blocks = zip(mid.split(CONTEXTS_AT_ONCE), mlp_in.split(CONTEXTS_AT_ONCE), strict=True)
        return torch.cat([self._subject.norm_statistics(layer, *block) for block in blocks])

    def _losses(self, last: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch seq 2"]:
        """Loss of each token given those before it (NaN for the first), and the entropy after it."""
        following = torch.roll(self._ids, -1, dims=1).reshape(-1)
        of_next = losses_and_entropies(self._subject, last.flatten(0, 1), following)
        out = of_next.reshape(*self._ids.shape, 2)
        out[:, 1:, 0] = out[:, :-1, 0].clone()
        out[:, 0, 0] = torch.nan
        return out


def fills_disk(error: OSError | UnavailableError) -> bool:
    """Whether an error, or what it was raised for, means that the disk is full."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and is_full_disk(cause)
