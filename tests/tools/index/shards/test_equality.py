"""Shards merge into the files of one process, byte for byte, however many they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.tools.corpus import SPLITS
from hubel.tools.errors import UnavailableError
from hubel.tools.index import Index, Progress, Shard, index_shard, merge_shards
from hubel.tools.index.activation_store.plan import StoreBits
from hubel.tools.subject.subject import Subject
from tests.tools.index.conftest import small_corpus

from .conftest import SETTINGS, build_shards, files


@pytest.mark.parametrize(("count", "bits"), [(1, 16), (7, 16), (2, 8)])
def test_every_file_is_that_of_one_process(
    sharded: Subject, wholes: dict[StoreBits, Path], tmp_path: Path, count: int, bits: StoreBits
) -> None:
    parts = build_shards(sharded, tmp_path, count, store="all", store_bits=bits)
    reports: list[Progress] = []
    summary = merge_shards(parts[::-1], tmp_path / "i", progress=reports.append)
    merged, expected = files(tmp_path / "i"), files(wholes[bits])
    assert [name for name in expected if merged.get(name) != expected[name]] == []
    assert set(merged) == set(expected)
    index, one = Index.open(tmp_path / "i"), Index.open(wholes[bits])
    assert (summary.tokens, summary.units) == (one.summary.tokens, one.summary.units)
    assert index.summary.bytes == one.summary.bytes
    assert reports[-1].done <= reports[-1].total
    # Two batches or more of explore, so that sums are added up, and fewer than seven of each split.
    assert 64 * 7 > one.n_contexts["explore"] > 128
    assert all(one.n_contexts[split] for split in SPLITS)


def test_a_shard_that_is_stopped_and_goes_on_gives_the_same(
    sharded: Subject, wholes: dict[StoreBits, Path], tmp_path: Path
) -> None:
    left = 0

    def stop(_progress: Progress) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    parts = [tmp_path / "1", tmp_path / "2"]
    stops = 0
    for number, part in enumerate(parts, start=1):
        while not part.exists():
            left = 2 + stops
            try:
                options = SETTINGS | {"store": "all", "store_bits": 8, "progress": stop}
                index_shard(sharded, small_corpus(150), part, Shard(number, 2), **options)
            except KeyboardInterrupt:
                stops += 1
                assert not part.exists()
    assert stops > 2
    merge_shards(parts, tmp_path / "i")
    assert files(tmp_path / "i") == files(wholes[8])


def test_a_shard_on_a_full_disk_ends_and_goes_on_when_there_is_room(
    sharded: Subject, wholes: dict[StoreBits, Path], tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = before

    def fill(_progress: Progress) -> None:  # no file may grow beyond a size, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)

    parts = [tmp_path / "1", tmp_path / "2"]
    options = SETTINGS | {"store": "all", "store_bits": 16, "progress": fill}
    failures = 0
    for number, part in enumerate(parts, start=1):
        for size in (8 << 10, 16 << 10, before[0]):
            limit = (size, before[1])
            try:
                index_shard(sharded, small_corpus(150), part, Shard(number, 2), **options)
            except UnavailableError as error:
                failures += "cannot keep its activation store: the disk is full" in str(error)
                assert not part.exists()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert failures >= 2
    merge_shards(parts, tmp_path / "i")
    assert files(tmp_path / "i") == files(wholes[16])
