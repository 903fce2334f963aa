"""Reads a batch in parts where memory does not hold the pass of all its rows at once.

1. A pass that is estimated not to fit the free memory starts with half of its rows, or half of that,
   and so on. One that runs out of memory all the same is repeated with half the rows.
2. Each part but the last goes through the whole model, and what it gives is moved to main memory.
   The last part then hands on each value with those of the others before it, so that whoever reads
   gets the batch that was planned, once, and in the order of the forward pass.
3. The number of tokens that did fit is remembered, and said once.

A row's numbers do not depend on the other rows but for the last bits, because a matrix product of
another size may add in another order. So halves are taken only where the whole would not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from ..errors import UnavailableError
from ..files.memory import free_memory

Key = TypeVar("Key", bound=Hashable)
Take = Callable[[Key, Tensor], None]
Part = TypeVar("Part")

MEMORY_SHARE = 0.8
"""Of the free memory that a pass may be estimated to take; fragments and libraries take the rest."""
SMALL = 1 << 28
"""Bytes below which no estimate is made: asking for the free memory takes longer than it is worth."""
_FULL = ("out of memory", "not enough memory", "can't allocate memory")
"""What torch says where it raises a RuntimeError, as its allocator for CPUs does."""


class RowParts:
    """How many tokens of a subject are read at once.

    Args:
        name: of the subject, for messages.
        token_bytes: estimated for each token of a pass.
        device: where the free memory is asked for.

    Attributes:
        tokens: that fit at once; None while everything did.
        say: called once, with a line, when a batch was read in parts.
    """

    def __init__(self, name: str, token_bytes: int, device: torch.device) -> None:
        self.name, self.token_bytes, self.device = name, token_bytes, device
        self.say: Callable[[str], None] = lambda line: None
        self.tokens: int | None = None
        self._said = False

    def stream(
        self,
        ids: Int[Tensor, "batch seq"],
        read: Callable[[Int[Tensor, "part seq"], Take[Key]], None],
        consume: Take[Key],
    ) -> None:
        """Read the rows, and hand on each value of the whole batch once.

        Args:
            read: reads some of the rows, and calls what it is given with each value.

        Raises:
            UnavailableError: one row alone does not fit.
        """
        consumed: set[Key] = set()

        def attempt(step: int) -> None:
            parts = ids.split(step)
            before: dict[Key, list[Tensor]] = {}
            for part in parts[:-1]:
                keep: Take[Key] = lambda key, value: before.setdefault(key, []).append(value.cpu())  # noqa: E731
                read(part, keep)

            def last(key: Key, value: Tensor) -> None:
                if key in consumed:
                    return
                earlier = [rows.to(value.device) for rows in before.pop(key, [])]
                whole = torch.cat([*earlier, value]) if earlier else value
                try:
                    consume(key, whole)
                except Exception as error:
                    raise _ReaderFailed(error) from error
                consumed.add(key)

            read(parts[-1], last)

        try:
            self._with_less(ids, attempt)
        except _ReaderFailed as failure:
            raise failure.error from failure.error.__cause__

    def collect(
        self, ids: Int[Tensor, "batch seq"], read: Callable[[slice], Part], more_bytes: int = 0
    ) -> list[Part]:
        """What `read` returns for each part of the rows; of a batch that fits, one.

        Args:
            more_bytes: that each token takes besides what is estimated for a pass.
        """
        collected: list[Part] = []

        def attempt(step: int) -> None:
            collected.clear()
            for start in range(0, len(ids), step):
                collected.append(read(slice(start, start + step)))

        self._with_less(ids, attempt, more_bytes)
        return collected

    def _with_less(
        self, ids: Int[Tensor, "batch seq"], attempt: Callable[[int], None], more_bytes: int = 0
    ) -> None:
        """Call with fewer rows at once until they fit."""
        rows, seq = ids.shape
        step = self._first_step(rows, seq, self.token_bytes + more_bytes)
        while True:
            try:
                attempt(step)
                break
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if step == 1:
                    raise UnavailableError(self._too_small(seq)) from error
            step = -(-step // 2)  # outside the handler, which would keep the pass's tensors
            self.tokens = step * seq
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        if step < rows and not self._said:
            self._said = True
            self.say(
                f"the memory does not hold {rows} rows of {seq} tokens of {self.name} at once: "
                f"read {step} at a time"
            )

    def _first_step(self, rows: int, seq: int, token_bytes: int) -> int:
        step = max(rows, 1)
        if self.tokens is not None:
            step = min(step, max(self.tokens // seq, 1))
        if step * seq * token_bytes < SMALL or (free := self._free()) is None:
            return step
        while step > 1 and step * seq * token_bytes > free * MEMORY_SHARE:
            step = -(-step // 2)
        return step

    def _free(self) -> int | None:
        if self.device.type == "cuda":
            unused = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(
                self.device
            )
            return torch.cuda.mem_get_info(self.device)[0] + unused
        return free_memory() if self.device.type == "cpu" else None

    def _too_small(self, seq: int) -> str:
        return (
            f"the free memory is too small for one text of {seq} tokens of {self.name}: give shorter "
            "contexts (--context-len), --dtype bfloat16, another --device, or --device-map auto"
        )


class _ReaderFailed(Exception):
    """An error of whoever reads the values; it is not the pass's, even if it is about memory."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def bytes_of_a_token(d_model: int, n_neurons: int, dtype: torch.dtype) -> int:
    """Estimated for each token of a pass without logits.

    A layer holds the stream and what attention makes of it, and the neurons' three vectors.
    """
    return (10 * d_model + 4 * n_neurons) * dtype.itemsize


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch found no memory."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(text in said for text in _FULL)
