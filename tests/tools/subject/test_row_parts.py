"""A batch that memory does not hold is read in parts: the same values, once, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from hubel.bench.tiny_subject import miniature
from hubel.tools.errors import UnavailableError
from hubel.tools.subject.address import Site, Unit
from hubel.tools.subject.interventions import Intervention
from hubel.tools.subject.subject import Subject

SITES = [Site("head", 0), Site("mlp", 0), Site("mlp", 2)]


@contextmanager
def full_memory(subject: Subject, most_rows: int, layer: int = 1) -> Iterator[list[int]]:
    """In a layer, more rows than that find no memory; yields the rows of each attempt."""
    attempts: list[int] = []

    def refuse(_module: Any, inputs: tuple[Tensor, ...]) -> None:
        attempts.append(len(inputs[0]))
        if len(inputs[0]) > most_rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    handle = subject.parts.layers[layer].mlp.register_forward_pre_hook(refuse)
    try:
        yield attempts
    finally:
        handle.remove()


def streamed(subject: Subject, ids: Tensor) -> list[tuple[Site, Tensor]]:
    values: list[tuple[Site, Tensor]] = []
    subject.stream(ids, SITES, lambda site, value: values.append((site, value.clone())))
    return values


def test_a_stream_in_parts_is_the_stream() -> None:
    subject, ids = miniature(), torch.arange(7 * 9).reshape(7, 9)
    said: list[str] = []
    subject.row_parts.say = said.append
    whole = streamed(subject, ids)
    with full_memory(subject, 2) as attempts:
        parts = streamed(subject, ids)
        assert attempts == [7, 4, 2, 2, 2, 1]
        attempts.clear()
        streamed(subject, ids)
        assert attempts == [2, 2, 2, 1]  # what fits is remembered
    assert [site for site, _ in parts] == [site for site, _ in whole] == SITES
    for (_, value), (_, true) in zip(parts, whole, strict=True):
        torch.testing.assert_close(value, true, rtol=1e-5, atol=1e-6)
    assert said == [
        "the memory does not hold 7 rows of 9 tokens of miniature at once: read 2 at a time"
    ]


def test_a_capture_in_parts_keeps_each_rows_interventions() -> None:
    subject, ids = miniature(), torch.arange(5 * 6).reshape(5, 6)
    changes = [[Intervention(Unit("mlp", 0, row), "set", value=2.0)] for row in range(5)]
    whole = subject.capture(ids, SITES, interventions=changes, logits=True)
    with full_memory(subject, 2):
        parts = subject.capture(ids, SITES, interventions=changes, logits=True)
    for site in SITES:
        torch.testing.assert_close(parts.activations[site], whole.activations[site])
    torch.testing.assert_close(parts.logits, whole.logits)


def test_one_row_that_does_not_fit_is_refused_in_a_line() -> None:
    subject, ids = miniature(), torch.ones(3, 8, dtype=torch.long)
    reads: list[Callable[[], Any]] = [
        lambda: streamed(subject, ids),
        lambda: subject.capture(ids, [Site("mlp", 2)]),
    ]
    with full_memory(subject, 0):
        for read in reads:
            with pytest.raises(
                UnavailableError, match="too small for one text of 8 tokens"
            ) as error:
                read()
            assert "\n" not in str(error.value)


def test_what_the_reader_raises_is_not_tried_again() -> None:
    subject, ids, calls = miniature(), torch.ones(4, 8, dtype=torch.long), []

    def read(site: Site, value: Tensor) -> None:
        calls.append(site)
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        subject.stream(ids, SITES, read)
    assert calls == SITES[:1]


def test_a_pass_that_would_not_fit_begins_with_less(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, ids = miniature(), torch.ones(64, 8, dtype=torch.long)
    subject.row_parts.token_bytes = 1 << 24
    monkeypatch.setattr("hubel.tools.subject.row_parts.free_memory", lambda: 1 << 31)
    with full_memory(subject, 64) as attempts:
        streamed(subject, ids)
    assert attempts == [8] * 8  # of 8 GiB, 1.6 GiB may be used
