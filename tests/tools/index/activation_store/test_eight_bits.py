"""A store of 8 bits: close to a fresh pass, resumed to the same bytes, and 16 bits where 8 miss."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Corpus
from hubel.tools.errors import CorruptError
from hubel.tools.index import Index, Progress, build_index
from hubel.tools.index.activation_store import folder, plan
from hubel.tools.index.activation_store.source import (
    ContextBatch,
    StoredSource,
    SubjectSource,
    stored_source,
)
from hubel.tools.index.index import reader_of, store_of
from hubel.tools.subject.address import Site

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

CONTEXT_LEN = 16


def _build(subject: Subject, corpus: Corpus, out: Path, **options: Any) -> list[str]:
    """Build or finish an index with a store of 8 bits; returns the warnings about the store."""
    lines: list[str] = []
    options = {"store": "all", "store_bits": 8, "warn": lines.append} | options
    build_index(subject, corpus, out, context_len=CONTEXT_LEN, **options)
    return [line for line in lines if "a small corpus" not in line]


def _encodings(index: Path) -> dict[int | None, str]:
    store = store_of(Index.open(index), "explore")
    assert store is not None
    return {layer: a.encoding for (kind, layer), a in store.arrays.items() if kind == "mlp_in"}


def _shards(index: Path) -> dict[str, bytes]:
    paths = sorted((index / "store").rglob("*.bin"))
    return {str(path.relative_to(index)): path.read_bytes() for path in paths}


def _read(
    source: StoredSource | SubjectSource, batch: ContextBatch, sites: list[Site]
) -> dict[Site, np.ndarray]:
    real = np.arange(batch.ids.shape[1]) < batch.length[:, None]
    real[:, 0] = False  # position 0 does not count
    values: dict[Site, np.ndarray] = {}
    source.read(
        batch, dict.fromkeys(sites), lambda site, v: values.update({site: v.float().numpy()[real]})
    )
    return values


def test_neurons_and_streams_are_those_of_a_pass(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    assert not _build(tiny, corpus, tmp_path / "i")
    index = Index.open(tmp_path / "i")
    assert set(_encodings(tmp_path / "i").values()) == {"int8"}
    source = stored_source(tiny, index, "explore")
    assert source is not None
    contexts = reader_of(index, "explore").contexts()
    numbers = np.flatnonzero(contexts.length > 1)
    ids = torch.from_numpy(contexts.tokens[numbers].astype(np.int64))
    batch = ContextBatch(numbers, contexts.length[numbers], ids)
    sites = [Site(kind, layer) for layer in range(3) for kind in ("mlp", "mlp_in", "stream")]
    stored, fresh = _read(source, batch, sites), _read(SubjectSource(tiny), batch, sites)
    for site in sites:
        error = np.linalg.norm(stored[site] - fresh[site])
        assert error <= plan.TOLERANCE * np.linalg.norm(fresh[site]), site
        if site.kind == "mlp":
            pairs = zip(stored[site].T, fresh[site].T, strict=True)
            assert min(np.corrcoef(*pair)[0, 1] for pair in pairs) > 0.9995


def test_a_killed_pass_resumes_to_the_same_bytes(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done > progress.total // 3:
            raise KeyboardInterrupt

    _build(tiny, corpus, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _build(tiny, corpus, tmp_path / "killed", progress=stop, checkpoint_every=1)
    assert not _build(tiny, corpus, tmp_path / "killed")
    assert _shards(tmp_path / "killed") == _shards(tmp_path / "whole")


def test_a_layer_that_misses_the_correlation_is_stored_in_16_bits(
    tiny: Subject, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest_r = plan._lowest_r
    layers = iter(range(3))
    monkeypatch.setattr(
        plan, "_lowest_r", lambda *pair: 0.9991 if next(layers) == 1 else lowest_r(*pair)
    )
    (warning,) = _build(tiny, corpus, tmp_path / "i")
    assert warning == (
        "layer 1 is stored in 16 bits: in 8, the activations of a neuron would correlate by 0.99910 "
        "with the true ones"
    )
    assert _encodings(tmp_path / "i") == {0: "int8", 1: "float16", 2: "int8"}


def test_auto_takes_8_bits_where_16_do_not_fit(
    tiny: Subject, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done > progress.total // 3:
            raise KeyboardInterrupt

    sizes: list[int] = []
    for bits in (8, 16):
        _build(tiny, corpus, tmp_path / str(bits), store_bits=bits)
        sizes.append(sum(map(len, _shards(tmp_path / str(bits)).values())))
    free = folder.shutil.disk_usage(tmp_path).free
    share = sum(sizes) / 2 / free
    monkeypatch.setattr(folder, "DISK_SHARE", share)
    options = {"store": "auto", "store_bits": None}
    with pytest.raises(KeyboardInterrupt):
        _build(tiny, corpus, tmp_path / "auto", progress=stop, checkpoint_every=1, **options)
    # There is more room now, but what was begun goes on.
    monkeypatch.setattr(folder, "DISK_SHARE", 1.0)
    assert not _build(tiny, corpus, tmp_path / "auto", **options)
    assert _shards(tmp_path / "auto") == _shards(tmp_path / "8")
    monkeypatch.setattr(folder, "DISK_SHARE", sizes[0] / 2 / free)
    (warning,) = _build(tiny, corpus, tmp_path / "neither", **options)
    assert warning.startswith("no activation store: it would take")


def test_a_finished_store_of_other_bits_is_kept_and_said(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    _build(tiny, corpus, tmp_path / "i")
    before = _shards(tmp_path / "i")
    (warning,) = _build(tiny, corpus, tmp_path / "i", store_bits=16)
    assert "does not have 16 bits per number; to make it again, delete" in warning
    assert _shards(tmp_path / "i") == before


def test_a_flipped_bit_of_a_scale_is_noticed(tiny: Subject, corpus: Corpus, tmp_path: Path) -> None:
    _build(tiny, corpus, tmp_path / "i")
    path = tmp_path / "i" / "store" / "explore" / "mlp_in-1" / "00000.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # the last row's scale
    path.write_bytes(content)
    index = Index.open(tmp_path / "i")
    source = stored_source(tiny, index, "explore")
    assert source is not None
    number = int(np.flatnonzero(reader_of(index, "explore").contexts().length > 1)[0])
    length = reader_of(index, "explore").contexts().length[[number]]
    batch = ContextBatch(
        np.array([number]), length, torch.zeros((1, int(length[0])), dtype=torch.long)
    )
    with pytest.raises(CorruptError, match=r"mlp_in-1/00000\.bin is damaged"):
        source.read(batch, {Site("mlp", 1): None}, lambda *_: None)
