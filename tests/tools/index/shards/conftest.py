"""One subject with directions and a dictionary, and its whole index, made by one process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hubel.tools.index import ExemplarCounts, Shard, build_index, index_shard
from hubel.tools.index.activation_store.plan import StoreBits
from hubel.tools.subject.attach_latents import attach_latents
from hubel.tools.subject.subject import Subject
from tests.support.dictionaries import random_dictionary
from tests.support.tiny import D_MODEL, tiny_subject
from tests.tools.index.conftest import CONTEXT_LEN, small_corpus

SETTINGS: dict[str, Any] = {
    "sites": ("mlp", "head", "resid", "sae"),
    "context_len": CONTEXT_LEN,
    "exemplar_counts": ExemplarCounts(top=(3, 2, 2), pool=(4, 2, 2), sample=(64, 32, 32)),
    "checkpoint_every": 1,
}


def shard_subject() -> Subject:
    """A tiny subject with two directions and a dictionary."""
    import torch

    directions = {1: {"first": torch.eye(D_MODEL)[0], "second": torch.ones(D_MODEL)}}
    subject = tiny_subject(directions=directions)
    attach_latents(subject, random_dictionary(subject))
    return subject


def build_shards(subject: Subject, folder: Path, count: int, **options: Any) -> list[Path]:
    """All shards of the index over the small corpus."""
    paths = [folder / str(number) for number in range(1, count + 1)]
    for number, path in enumerate(paths, start=1):
        index_shard(subject, small_corpus(150), path, Shard(number, count), **SETTINGS, **options)
    return paths


def files(folder: Path) -> dict[str, bytes]:
    """The content of every file below a folder; of `index.json`, what is not about its making."""
    found: dict[str, bytes] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found[path.relative_to(folder).as_posix()] = path.read_bytes()
    description = json.loads(found["index.json"])
    for name in ("summary", "shards", "sha256"):
        description.pop(name, None)
    return found | {"index.json": json.dumps(description).encode()}


@pytest.fixture(scope="session")
def sharded() -> Subject:
    return shard_subject()


@pytest.fixture(scope="session")
def wholes(sharded: Subject, tmp_path_factory: pytest.TempPathFactory) -> dict[StoreBits, Path]:
    """The index by one process, with a store in 16 bits and in 8."""
    folder = tmp_path_factory.mktemp("whole")
    for bits in (16, 8):
        options = SETTINGS | {"store": "all", "store_bits": bits}
        build_index(sharded, small_corpus(150), folder / str(bits), **options)
    return {16: folder / "16", 8: folder / "8"}
