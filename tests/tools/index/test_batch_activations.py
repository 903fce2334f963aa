"""Activations read on their device against those in main memory, and both against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hubel.tools.index import build_index, split_pass
from hubel.tools.index.batch_activations import (
    BatchActivations,
    DeviceActivations,
    HostActivations,
    batch_activations,
)
from hubel.tools.index.batch_plan import Batch, LengthGroup, PooledContexts, SampledTokens
from hubel.tools.index.thread_team import ThreadTeam
from hubel.tools.index.topk import TopK, update_topk
from tests.support.tiny import tiny_subject

from .conftest import CONTEXT_LEN, small_corpus

SEQ, UNITS, ROW = 9, 300, 12
LENGTHS = [9, 9, 9, 7, 7, 3, 2]


def ragged_batch() -> Batch:
    at = np.array([1, 5])
    return Batch(
        number=0,
        turn=0,
        rows=np.arange(10, 10 + len(LENGTHS)),
        tokens=np.zeros((len(LENGTHS), SEQ), np.int32),
        groups=(
            LengthGroup(0, 3, 9),
            LengthGroup(3, 5, 7),
            LengthGroup(5, 6, 3),
            LengthGroup(6, 7, 2),
        ),
        pool=PooledContexts(at, at),
        sample=SampledTokens(0, np.array([0, 3, 6]), np.array([4, 2, 1])),
    )


def activations(dtype: torch.dtype) -> torch.Tensor:
    """Random ones, some beyond float16, with NaN wherever nothing counts."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(len(LENGTHS), SEQ, UNITS, generator=generator)
    values[1, 4, 7], values[2, 3, 8] = 1e6, -1e6
    values[:, 0] = torch.nan
    for context, length in enumerate(LENGTHS):
        values[context, length:] = torch.nan
    return values.to(dtype)


@pytest.fixture(params=[torch.float32, torch.bfloat16, torch.float16], ids=str)
def values(request: pytest.FixtureRequest) -> torch.Tensor:
    return activations(request.param)


def both(values: torch.Tensor) -> list[BatchActivations]:
    batch = ragged_batch()
    return [HostActivations(values.float().numpy(), batch), DeviceActivations(values, batch)]


def test_extremes_and_sums_are_those_of_a_loop(values: torch.Tensor) -> None:
    counted = [values[i, 1:length].double().numpy() for i, length in enumerate(LENGTHS)]
    flat = np.concatenate(counted)
    before = values.clone()
    with ThreadTeam(2) as team:
        for read in both(values):
            high, low, sums = read.reduce(team.blocks)
            assert (high == np.stack([of.max(axis=0) for of in counted])).all()
            assert (low == np.stack([of.min(axis=0) for of in counted])).all()
            np.testing.assert_allclose(sums[0], flat.sum(axis=0), rtol=1e-5, atol=1e-4)
            np.testing.assert_allclose(sums[1], (flat**2).sum(axis=0), rtol=1e-5)
    assert torch.equal(before.view(torch.uint8), values.view(torch.uint8)), "changed on the way"


def test_copies_are_those_of_a_loop(values: torch.Tensor) -> None:
    padded = np.zeros((len(LENGTHS), ROW, UNITS), np.float16)
    for context, length in enumerate(LENGTHS):
        padded[context, 1:length] = values[context, 1:length].half().numpy()
    context, unit = np.array([0, 0, 1, 4, 5, 6]), np.array([3, 299, 7, 0, 8, 11])
    at = np.array([0, 3, 6]), np.array([4, 2, 1])
    for read in both(values):
        assert (read.rows(context, unit, ROW) == padded[context, :, unit]).all()
        assert (read.tokens(*at) == padded[at]).all()
        for number in range(len(LENGTHS)):
            assert (read.whole(number, ROW) == padded[number]).all()
        assert read.n_units == UNITS


def test_the_best_contexts_are_the_same(values: torch.Tensor) -> None:
    batch, kept = ragged_batch(), list[TopK]()
    with ThreadTeam(1) as team:
        for read in both(values):
            high, low, _ = read.reduce(team.blocks)
            tops = [TopK.empty(UNITS, 3, ROW) for _ in range(2)]
            update_topk(tops, [high, -low], batch.rows, read.rows, slice(0, UNITS))
            kept += tops
    for host, device in zip(kept[:2], kept[2:], strict=True):
        assert (host.keys == device.keys).all()
        assert (host.rows == device.rows).all()


def test_the_first_number_that_is_not_finite_is_found(values: torch.Tensor) -> None:
    if values.dtype == torch.float16:
        values = values.nan_to_num(posinf=1.0, neginf=-1.0)
    assert [read.first_not_finite() for read in both(values)] == [None, None]
    values[4, 6, 5] = torch.inf
    assert [read.first_not_finite() for read in both(values)] == [(4, 5)] * 2


def test_main_memory_is_read_by_numpy() -> None:
    read = batch_activations(activations(torch.float32), ragged_batch())
    assert isinstance(read, HostActivations)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_what_main_memory_gives(tmp_path: Path) -> None:
    values = activations(torch.bfloat16)
    batch = ragged_batch()
    host, device = both(values)[0], batch_activations(values.cuda(), batch)
    assert isinstance(device, DeviceActivations)
    with ThreadTeam(1) as team:
        for ours, theirs in zip(host.reduce(team.blocks), device.reduce(team.blocks), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    assert (host.whole(1, ROW) == device.whole(1, ROW)).all()


def test_an_index_read_on_the_device_is_that_of_main_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = tiny_subject()
    one = build_index(subject, small_corpus(), tmp_path / "one", context_len=CONTEXT_LEN)
    monkeypatch.setattr(split_pass, "batch_activations", DeviceActivations)
    two = build_index(subject, small_corpus(), tmp_path / "two", context_len=CONTEXT_LEN)
    assert one.tokens == two.tokens
    paths = sorted((tmp_path / "one").rglob("*.parquet"))
    assert any("exemplars" in str(path) for path in paths)
    for path in paths:
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        if path.parent.name != "statistics":
            assert path.read_bytes() == other.read_bytes(), path.name
            continue
        ours, theirs = pq.read_table(path), pq.read_table(other)
        for name in ours.column_names:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-6)
