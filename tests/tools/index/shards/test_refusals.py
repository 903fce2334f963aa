"""Shards that do not make an index are refused in one line, and a kill or damage loses nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hubel.tools.errors import CorruptError, HubelError, UsageError
from hubel.tools.files.sealed_json import read_sealed, write_sealed
from hubel.tools.index import Index, Shard, index_shard, merge_shards
from hubel.tools.subject.subject import Subject
from tests.tools.index.conftest import small_corpus

from .conftest import SETTINGS, build_shards


@pytest.fixture(scope="module")
def built(sharded: Subject, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three shards."""
    return build_shards(sharded, tmp_path_factory.mktemp("built"), 3, store="all")


@pytest.fixture
def parts(built: list[Path], tmp_path: Path) -> list[Path]:
    """Copies of them, to be damaged."""
    return [Path(shutil.copytree(part, tmp_path / f"part-{part.name}")) for part in built]


def described(part: Path, change: Callable[[dict], object]) -> None:
    """Change a shard's description as another hubel or machine would have written it."""
    content = read_sealed(part / "shard.json")
    change(content)
    write_sealed(part / "shard.json", content)


def message(parts: list[Path], out: Path, error: type[HubelError] = UsageError) -> str:
    with pytest.raises(error) as raised:
        merge_shards(parts, out)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_shards_that_are_not_those_of_one_index_are_named(
    sharded: Subject, parts: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "i"
    assert "shards 2 and 3 of 3 are missing" in message(parts[:1], out)
    assert "shard 2 of 3 is missing" in message([parts[0], parts[2]], out)
    assert "shard 1/3 is given twice" in message([parts[0], *parts], out)
    assert "no shard at" in message([tmp_path / "nowhere"], out)
    (other,) = build_shards(sharded, tmp_path / "other", 1, seed=7)
    assert "give the shards of one count" in message([other, *parts], out)
    described(other, lambda content: content.update(shard=[3, 3]))
    assert "differ in seed (0 and 7)" in message([*parts[:2], other], out)
    described(parts[2], lambda content: content["versions"].update(torch="1.0"))
    assert "version of torch" in message(parts, out)
    assert not (out / "index.json").exists()


def test_an_unfinished_shard_and_a_whole_index_are_no_shards(
    sharded: Subject, parts: list[Path], tmp_path: Path
) -> None:
    def stop(_progress: object) -> None:
        raise KeyboardInterrupt

    part = tmp_path / "unfinished"
    with pytest.raises(KeyboardInterrupt):
        index_shard(sharded, small_corpus(150), part, Shard(1, 3), progress=stop, **SETTINGS)
    for path in (part, part.with_name("unfinished.unfinished")):
        assert "is not finished: repeat the same" in message([path, *parts[1:]], tmp_path / "i")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("kept")
    with pytest.raises(UsageError, match="holds other files"):
        index_shard(sharded, small_corpus(150), tmp_path / "notes", Shard(2, 3), **SETTINGS)
    with pytest.raises(UsageError, match="another shard"):
        index_shard(sharded, small_corpus(150), parts[0], Shard(2, 3), **SETTINGS)
    merge_shards(parts, tmp_path / "i")
    assert "holds a whole index" in message([tmp_path / "i"], tmp_path / "j")
    # A finished index is left as it is, and one of something else in its place is not overwritten.
    assert merge_shards(parts, tmp_path / "i") == Index.open(tmp_path / "i").summary
    assert "holds other files" in message(parts, parts[0])


def test_stores_that_only_some_shards_have_are_left_out_on_request(
    parts: list[Path], tmp_path: Path
) -> None:
    shutil.rmtree(parts[1] / "store")
    described(
        parts[1],
        lambda content: content.update(
            files={k: v for k, v in content["files"].items() if not k.startswith("store")}
        ),
    )
    assert "shard 2 has no activation store, but others do" in message(parts, tmp_path / "i")
    merge_shards(parts, tmp_path / "i", store=False)
    assert not (tmp_path / "i" / "store").exists()


def test_a_warning_names_the_shards_of_other_machines(parts: list[Path], tmp_path: Path) -> None:
    described(parts[1], lambda content: content["environments"][0].update(threads=96))
    lines: list[str] = []
    merge_shards(parts, tmp_path / "i", warn=lines.append)
    (line,) = lines
    assert "more than one number of threads" in line
    assert "96: shard 2" in line


@pytest.mark.parametrize(
    "name",
    [
        "shard.json",
        "explore/plan.safetensors",
        "select/mlp-1.safetensors",
        "explore/pool-mlp-2.f16",
        "explore/sample-head-0.f16",
        "holdout/sums-mlp-0.f64",
        "explore/events-random-0.bin",
        "explore/contexts.parquet",
        "vocabulary.parquet",
        "store/select/store.json",
        "store/explore/mlp_in-1/00000.bin",
    ],
)
def test_one_changed_bit_is_found_and_a_repeat_with_the_shard_goes_on(
    parts: list[Path], built: list[Path], tmp_path: Path, name: str
) -> None:
    damaged = parts[0] / name
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content)
    text = message(parts, tmp_path / "i", CorruptError)
    assert str(parts[0]) in text
    assert "again" in text
    shutil.copyfile(built[0] / name, damaged)
    merge_shards(parts, tmp_path / "i")
    assert json.loads((tmp_path / "i" / "index.json").read_text())["shards"] == 3
