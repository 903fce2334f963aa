"""The collect pass against capturing each context by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from hubel.tools.errors import ArgumentError, CorruptError, UsageError
from hubel.tools.index import Collected, Index, Progress, collect
from hubel.tools.index.holdout import open_collected_holdout, open_holdout
from hubel.tools.index.index import reader_of
from hubel.tools.subject import nulls
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject

TARGETS = [Unit.parse(text) for text in ("mlp.1.3", "mlp.1.3-", "head.2.1", "mlp.0.0+", "mlp.1.20")]
NAMES = ("mlp.1.3", "head.2.1", "mlp.0.0", "mlp.1.20")


@pytest.fixture(scope="module")
def folder(tiny: Subject, index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "collected"
    collect(tiny, index, TARGETS, folder)
    return folder


def opened(folder: Path, split: str) -> Collected:
    return open_collected_holdout(folder) if split == "holdout" else Collected.open(folder, split)  # type: ignore[arg-type]


@pytest.mark.parametrize("split", ["explore", "select", "holdout"])
def test_collected_activations_are_the_captured_ones(
    tiny: Subject, index: Index, folder: Path, split: Any
) -> None:
    collected, contexts = opened(folder, split), reader_of(index, split).contexts()
    assert collected.targets == NAMES
    assert (collected.tokens == contexts.tokens).all()
    assert (collected.length == contexts.length).all()
    assert (collected.mask == contexts.mask).all()
    assert collected.context.tolist() == list(range(len(contexts)))
    for unit in TARGETS:
        activations = collected.activations(unit)
        assert activations.dtype == np.float32
        for row, (tokens, length) in enumerate(zip(contexts.tokens, contexts.length, strict=True)):
            ids = torch.from_numpy(tokens[: int(length)][None].astype(np.int64))
            direct = tiny.unit_activations(ids, [unit.unsided])[0, 0].numpy()
            assert activations[row, : int(length)] == pytest.approx(direct, rel=1e-3, abs=1e-3)
            assert (activations[row, int(length) :] == 0).all()


def test_splits_share_no_document(folder: Path) -> None:
    documents = [
        set(opened(folder, split).document.tolist()) for split in ("explore", "select", "holdout")
    ]
    assert all(documents)
    assert len(set.union(*documents)) == sum(map(len, documents))


def test_near_duplicates_have_one_group(index: Index, folder: Path) -> None:
    """The conftest's documents 11, 21 and 31 end with one word more than those before them."""
    repeated = 0
    for split in ("explore", "select", "holdout"):
        collected = opened(folder, split)
        pairs = set(zip(collected.document.tolist(), collected.group.tolist(), strict=True))
        assert all(document in (group, group + 1) for document, group in pairs)
        repeated += len({group for _, group in pairs}) < len(pairs)
    assert repeated


def test_older_files_have_no_groups(folder: Path, tmp_path: Path) -> None:
    path = folder / "explore.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    del arrays["group"]
    save_file(arrays, tmp_path / "explore.safetensors", metadata)
    older = Collected.open(tmp_path, "explore")
    assert (older.group == older.document).all()


def test_holdout_is_behind_its_own_door(folder: Path) -> None:
    with pytest.raises(ArgumentError, match="holdout only by verification"):
        Collected.open(folder, "holdout")  # type: ignore[arg-type]


def test_a_collect_pass_reads_at_most_max_contexts(
    tiny: Subject, index: Index, folder: Path, tmp_path: Path
) -> None:
    collect(tiny, index, TARGETS, tmp_path, max_contexts=7)
    part, everything = Collected.open(tmp_path, "explore"), Collected.open(folder, "explore")
    assert len(part.tokens) == 7
    assert (np.diff(part.context) > 0).all()
    assert (part.tokens == everything.tokens[part.context]).all()
    assert (part.document == everything.document[part.context]).all()
    unit = TARGETS[0]
    assert part.activations(unit) == pytest.approx(
        everything.activations(unit)[part.context], rel=1e-3, abs=1e-3
    )


def test_nulls_and_controls_are_columns_too(tiny: Subject, index: Index, tmp_path: Path) -> None:
    noise = nulls.NoiseUnit(unit=Unit("mlp", 1, 24))
    shuffled = nulls.shuffled_unit(tiny, Unit("mlp", 1, 25), Unit("mlp", 2, 4))
    (rotated,) = nulls.rotated_units(tiny, [Unit("mlp", 2, 24)])
    redrawn = nulls.redrawn_unit(tiny, Unit("mlp", 1, 26), Unit("mlp", 1, 3))
    extra = [noise, shuffled, rotated, redrawn]
    collect(tiny, index, [Unit("mlp", 2, 4)], tmp_path, extra=extra)
    collected = Collected.open(tmp_path, "explore")
    assert collected.targets == ("mlp.2.4", "mlp.1.24", "mlp.1.25", "mlp.2.24", "mlp.1.26")
    ids = torch.from_numpy(collected.tokens.astype(np.int64))
    real = np.arange(ids.shape[1]) < collected.length[:, None]
    for column in extra:
        sites = list(column.sources)
        direct = column.values(tiny.capture(ids, sites).activations, ids).numpy() * real
        direct = column.arrange(direct, collected.length, "explore") * real
        assert collected.activations(column.unit) == pytest.approx(direct, rel=2e-3, abs=2e-3)
    source = collected.activations("mlp.2.4")
    assert np.abs(collected.activations("mlp.1.25") - source).max() > 0.1
    with pytest.raises(UsageError, match=r"'mlp\.2\.4' would be collected twice"):
        collect(
            tiny,
            index,
            [Unit("mlp", 2, 4)],
            tmp_path / "b",
            extra=[nulls.NoiseUnit(unit=Unit("mlp", 2, 4))],
        )


def test_only_nulls_need_no_forward_pass(tiny: Subject, index: Index, tmp_path: Path) -> None:
    collect(tiny, index, [], tmp_path, extra=[nulls.NoiseUnit(unit=Unit("mlp", 0, 30))])
    values = Collected.open(tmp_path, "select")
    assert values.activations("mlp.0.30")[values.mask].std() == pytest.approx(1, abs=0.15)


def test_a_killed_pass_goes_on_with_the_next_split(
    tiny: Subject, index: Index, folder: Path, tmp_path: Path
) -> None:
    total = index.tokens

    def interrupt(progress: Progress) -> None:
        if progress.done > 0.6 * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(tiny, index, TARGETS, tmp_path, progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["explore.safetensors"]
    before = (tmp_path / "explore.safetensors").stat().st_mtime_ns
    seen: list[Progress] = []
    collect(tiny, index, TARGETS, tmp_path, progress=seen.append)
    assert (tmp_path / "explore.safetensors").stat().st_mtime_ns == before
    assert (seen[-1].done, seen[-1].total) == (total, total)
    for split in ("explore", "select", "holdout"):
        a, b = (load_file(path / f"{split}.safetensors") for path in (folder, tmp_path))
        assert all((a[name] == b[name]).all() for name in a)


def test_a_cut_file_is_collected_again(
    tiny: Subject, index: Index, folder: Path, tmp_path: Path
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(
            path.read_bytes()[:-10] if "select" in path.name else path.read_bytes()
        )
    with pytest.raises(CorruptError, match=r"select\.safetensors is damaged"):
        Collected.open(tmp_path, "select")
    collect(tiny, index, TARGETS, tmp_path)
    assert (tmp_path / "select.safetensors").read_bytes() == (
        folder / "select.safetensors"
    ).read_bytes()


def test_wrong_options_of_a_collect_pass_are_refused(
    tiny: Subject, index: Index, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="another targets"):
        collect(tiny, index, TARGETS[:1], folder)
    with pytest.raises(UsageError, match="no targets"):
        collect(tiny, index, [], tmp_path)
    with pytest.raises(UsageError, match="units 0 to 23"):
        collect(tiny, index, [Unit("mlp", 0, 99)], tmp_path)
    with pytest.raises(UsageError, match="max_contexts=0"):
        collect(tiny, index, TARGETS, tmp_path, max_contexts=0)
    with pytest.raises(UsageError, match="load those weights"):
        collect(tiny_subject(seed=1), index, TARGETS, tmp_path)
    with pytest.raises(UsageError, match=r"'mlp\.0\.7' was not collected"):
        Collected.open(folder, "explore").activations("mlp.0.7")
    with pytest.raises(CorruptError, match="no collected activations"):
        Collected.open(tmp_path, "explore")


def test_the_holdout_index_reads_like_the_index(index: Index) -> None:
    holdout = open_holdout(index)
    assert holdout.exemplars(TARGETS[0])
    assert holdout.statistics(TARGETS[0]).n == holdout.contexts().mask.sum()
