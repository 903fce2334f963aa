"""A flipped bit in something cached is noticed, and what was damaged is made again."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

from hubel.bench.result_cache import ResultCache
from hubel.tools.dissection import Lexicon
from hubel.tools.errors import CorruptError
from hubel.tools.files.remembered import TOO_FRESH, remembered_sha256
from hubel.tools.subject.embedded import _write_manifest, check_hashes


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place // 8 % len(content)] ^= 1 << place % 8
    path.write_bytes(content)


def places(n: int, seed: int = 0) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(1 << 30) for _ in range(n)]


def test_a_damaged_result_of_a_bench_is_computed_again(tmp_path: Path) -> None:
    cache, made = ResultCache("b", "code", tmp_path), {"auroc": 0.8125, "name": "x"}
    cache.get_or_make(lambda: made, "key")
    (path,) = tmp_path.rglob("*.json")
    for place in places(40):
        assert cache.get_or_make(lambda: {"auroc": 0.0}, "key") == made
        flip(path, place)
        assert cache.get_or_make(lambda: made, "key") == made


def test_a_damaged_lexicon_is_not_read(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(6, 4))
    lexicon = Lexicon.build([" cat", " dog", " said", " told", " river", "x"], vectors)
    lexicon.save(tmp_path)
    assert lexicon.vectors is not None
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for place in places(40):
            flip(path, place)
            try:
                read = Lexicon.load(tmp_path)
            except CorruptError:
                continue
            finally:
                path.write_bytes(whole)
            assert read.strings == lexicon.strings  # such as the time in a gzip header
            assert np.array_equal(np.asarray(read.vectors), lexicon.vectors)


def test_a_damaged_note_of_a_hash_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "w.safetensors").write_bytes(b"weights")
    time.sleep(2 * TOO_FRESH / 1e9)
    expected = remembered_sha256(tmp_path / "w.safetensors")
    (note,) = (tmp_path / "cache" / "hashes").iterdir()
    for place in places(40):
        flip(note, place)
        assert remembered_sha256(tmp_path / "w.safetensors") == expected


def test_changed_weights_of_the_built_in_subject_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "tokenizer.json").write_text('{"a": 1}')
    _write_manifest(tmp_path)
    time.sleep(2 * TOO_FRESH / 1e9)  # so that their hashes are remembered
    check_hashes(tmp_path)
    for name in ("model.safetensors", "tokenizer.json"):
        whole = (tmp_path / name).read_bytes()
        flip(tmp_path / name, places(1)[0])
        with pytest.raises(CorruptError, match=f"{name} is damaged .* converted again"):
            check_hashes(tmp_path)
        (tmp_path / name).write_bytes(whole)
