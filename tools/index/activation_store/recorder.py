"""Hands what a pass computes to the writer of a store, batch by batch.

What cannot be stored is left out and said once: a layer with numbers beyond float16, or, when the
disk is full, the whole store. The index does not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...files.atomic import is_full_disk
from ...subject.address import Site
from ...subject.subject import Subject
from ..batch_plan import Batch
from ..float16_range import LARGEST
from .encoding import encode
from .layout import StoredArray
from .plan import StorePlan
from .writer import SplitStoreWriter

LOGITS_AT_ONCE = 256
"""Tokens whose logits are in memory at once: 50 MB for a vocabulary of 49,152."""


class StoreRecorder:
    """Records one split's pass.

    Attributes:
        failure: why there is no store; "" while there is one.
    """

    def __init__(
        self,
        subject: Subject,
        plan: StorePlan,
        writer: SplitStoreWriter,
        say: Callable[[str], None],
    ) -> None:
        self._subject, self._plan, self._say = subject, plan, say
        self.writer, self.failure = writer, ""
        self._mid: dict[int, Tensor] = {}
        self._real: Bool[np.ndarray, "batch seq"] = np.zeros((0, 0), bool)
        self._ids = torch.zeros((0, 0), dtype=torch.long)

    @property
    def sites(self) -> list[Site]:
        """What the pass must read for the store."""
        if self.failure:
            return []
        sites: list[Site] = []
        for layer, arrays in self._plan.layers.items():
            if self.writer.has(arrays.mlp_in):
                sites += [Site("mid", layer)] * (arrays.norm is not None)
                sites += [Site("mlp_in", layer), Site("head", layer)]
                sites += [Site("stream", layer)] * (arrays.stream is not None)
        if self._plan.loss:
            sites.append(Site("stream", self._subject.shape.n_layers - 1))
        return list(dict.fromkeys(sites))

    def begin(self, batch: Batch, ids: Float[Tensor, "batch seq"]) -> None:
        """Get ready for the values of a batch."""
        lengths = np.concatenate([np.full(g.stop - g.start, g.length) for g in batch.groups])
        self._real = np.arange(ids.shape[1]) < lengths[:, None]
        self._ids = ids

    def take(self, site: Site, values: Float[Tensor, "batch seq width"]) -> None:
        """Store what the pass read at a site, if it belongs to the store."""
        arrays = self._plan.layers.get(site.layer)
        if self.failure:
            return
        if site.kind == "stream" and self._plan.loss and self._is_last(site):
            self._append(self._plan.loss, self._losses(values))
        if arrays is None or not self.writer.has(arrays.mlp_in):
            return
        if site.kind == "mid":
            self._mid[site.layer] = values
        elif site.kind == "mlp_in":
            self._append(arrays.mlp_in, values)
            if arrays.norm and self.writer.has(arrays.norm):
                mid = self._mid.pop(site.layer)
                self._append(arrays.norm, self._subject.norm_statistics(site.layer, mid, values))
        elif site.kind == "head":
            self._append(arrays.head, values)
        elif site.kind == "stream" and arrays.stream:
            self._append(arrays.stream, values)

    def _is_last(self, site: Site) -> bool:
        return site.layer == self._subject.shape.n_layers - 1

    def _append(self, array: StoredArray, values: Float[Tensor, "batch seq width"]) -> None:
        if array.encoding == "float16":
            # Position 0 does not count, and is often far beyond float16 (an attention sink).
            values = torch.cat([values[:, :1].clamp(-LARGEST, LARGEST), values[:, 1:]], dim=1)
        rows = values[torch.from_numpy(self._real).to(values.device)]
        encoded = encode(rows, array.encoding)
        try:
            if encoded is None:
                self._drop(array)
            else:
                self.writer.append(array, encoded)
        except OSError as error:
            if not is_full_disk(error):
                raise
            self.give_up("the disk is full: make room, then run the same command again to add it")

    def give_up(self, reason: str) -> None:
        """Go on without a store."""
        self.failure = reason
        self.writer.discard()
        self._say(f"the index goes on without an activation store: {reason}")

    def _drop(self, array: StoredArray) -> None:
        """Leave out a layer that cannot be stored."""
        assert array.layer is not None  # losses are float32
        for of_layer in filter(None, self._plan.layers[array.layer]):
            self.writer.drop(of_layer)
        self._say(
            f"layer {array.layer} is not stored: {array.name} has numbers beyond float16; "
            "what needs it runs the subject"
        )

    def _losses(self, last: Float[Tensor, "batch seq d_model"]) -> Float[Tensor, "batch seq 2"]:
        """Loss of each token given those before it (NaN for the first), and the entropy after it."""
        subject, ids = self._subject, self._ids
        flat, out = last.reshape(-1, last.shape[-1]), torch.empty((ids.numel(), 2))
        following = torch.roll(ids, -1, dims=1).reshape(-1)
        for start in range(0, len(flat), LOGITS_AT_ONCE):
            part = slice(start, start + LOGITS_AT_ONCE)
            log_p = torch.log_softmax(subject.logits_from(flat[part]).float(), dim=-1)
            out[part, 0] = -log_p.gather(1, following[part, None])[:, 0].cpu()
            out[part, 1] = -(log_p.exp() * log_p).sum(dim=-1).cpu()
        out = out.reshape(*ids.shape, 2)
        out[:, 1:, 0] = out[:, :-1, 0].clone()
        out[:, 0, 0] = torch.nan
        return out
