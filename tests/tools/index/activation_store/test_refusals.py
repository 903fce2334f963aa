"""A store that is damaged, foreign or incomplete never gives a number, and its index goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hubel.tools.errors import CorruptError, UsageError
from hubel.tools.files.sealed_json import read_sealed, write_sealed
from hubel.tools.index import Collected, Index, build_index, collect
from hubel.tools.index.activation_store.source import stored_source
from hubel.tools.index.activation_store.store import ActivationStore
from hubel.tools.index.batch_plan import BATCH
from hubel.tools.index.index import reader_of
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject
from tests.tools.index.conftest import CONTEXT_LEN, small_corpus

from .builds import build, files

TARGETS = [Unit.parse("mlp.1.3"), Unit.parse("mlp.2.5"), Unit.parse("head.1.2")]
SHARD = "store/explore/mlp_in-1/00000.bin"


@pytest.fixture(scope="module")
def stored(tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "i"
    build(tiny, folder)
    return folder


@pytest.fixture
def copy(stored: Path, tmp_path: Path) -> Path:
    return shutil.copytree(stored, tmp_path / "i")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (SHARD, Path.unlink, "is missing"),
        (SHARD, cut, "bytes, but .* were written"),
        (SHARD, flip, r"is damaged \(bytes 0 to .* are not what was written\)"),
        ("store/explore/head-1/00000.bin", flip, "is damaged"),
        ("store/select/store.json", flip, "store.json is damaged"),
        ("store/select/store.json", cut, "store.json is damaged"),
    ],
)
def test_a_damaged_store_is_named_with_its_cure(
    tiny: Subject, copy: Path, name: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy / name)
    index = Index.open(copy)  # reads no store
    assert index.exemplars(TARGETS[0])
    with pytest.raises(CorruptError, match=message) as error:
        collect(tiny, index, TARGETS, copy.parent / "c")
    assert name in str(error.value)
    assert f"rm -r {copy / 'store'} (the index works without its store" in str(error.value)
    shutil.rmtree(copy / "store")
    collect(tiny, Index.open(copy), TARGETS, copy.parent / "c")
    assert build(tiny, copy) == []
    assert stored_source(tiny, Index.open(copy), "explore") is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 0}, "format 0, expected 1"),
        ({"tokens": None}, "entries missing: tokens"),
        ({"origin": {"subject": "s", "dtype": "float32"}}, "entries missing: contexts, corpus, split"),
        ({"arrays": [{"kind": "mlp_in", "layer": 0, "width": 4, "encoding": "float16", "b": 1}]},
         "unknown entries: b"),
    ],
)  # fmt: skip
def test_a_description_of_another_hubel_is_refused_in_plain_words(
    tiny: Subject, copy: Path, changes: dict[str, Any], message: str
) -> None:
    path = copy / "store" / "explore" / "store.json"
    content = {k: v for k, v in (read_sealed(path) | changes).items() if v is not None}
    write_sealed(path, content)
    with pytest.raises(CorruptError) as error:
        stored_source(tiny, Index.open(copy), "explore")
    assert f"store.json is damaged, or another hubel wrote it ({message}); rm -r" in str(
        error.value
    )


def test_a_store_is_opened_with_the_contexts_that_it_was_made_from(copy: Path) -> None:
    folder = copy / "store" / "explore"
    length = reader_of(Index.open(copy), "explore").contexts().length
    tokens = int(length[length > 1].sum())
    assert ActivationStore(folder, length).tokens == tokens
    with pytest.raises(
        CorruptError, match=rf"{tokens:,} tokens, but .* have {tokens - 16:,}; rm -r"
    ):
        ActivationStore(folder, np.delete(length, np.flatnonzero(length == 16)[0]))


@pytest.mark.parametrize("store", ["all", "auto"])
def test_the_index_command_finds_a_damaged_store(tiny: Subject, copy: Path, store: str) -> None:
    (copy / SHARD).unlink()
    with pytest.raises(CorruptError, match=r"mlp_in-1/00000\.bin is missing; rm -r"):
        build(tiny, copy, store)  # type: ignore[arg-type]
    assert build(tiny, copy, "none") == []


def test_a_store_of_another_text_is_refused(tiny: Subject, copy: Path) -> None:
    build(tiny, copy.parent / "other", documents=149)
    shutil.rmtree(copy / "store")
    shutil.copytree(copy.parent / "other" / "store", copy / "store")
    with pytest.raises(
        CorruptError, match=r"tokens, but the index's contexts have|another contexts"
    ):
        collect(tiny, Index.open(copy), TARGETS, copy.parent / "c")


def test_a_store_of_another_split_is_refused(tiny: Subject, copy: Path) -> None:
    shutil.rmtree(copy / "store" / "select")
    (copy / "store" / "holdout").rename(copy / "store" / "select")
    with pytest.raises(CorruptError, match=r"tokens, but the index's contexts have|another split"):
        stored_source(tiny, Index.open(copy), "select")


def test_a_store_of_another_subject_is_refused(tiny: Subject, copy: Path) -> None:
    build(tiny_subject(seed=1), copy.parent / "other")
    shutil.rmtree(copy / "store")
    shutil.copytree(copy.parent / "other" / "store", copy / "store")
    with pytest.raises(CorruptError, match="made from another subject than"):
        stored_source(tiny, Index.open(copy), "explore")
    with pytest.raises(CorruptError, match="made from another subject than"):
        collect(tiny, Index.open(copy), TARGETS, copy.parent / "c")


def test_a_store_in_another_dtype_is_not_used_and_said_once(copy: Path) -> None:
    subject = tiny_subject()
    subject.model.to(torch.bfloat16)
    notes: list[str] = []
    collect(subject, Index.open(copy), TARGETS, copy.parent / "c", say=notes.append)
    assert len(notes) == 1
    assert "in float32, not by 0000000000000000 in bfloat16: the subject is run" in notes[0]
    (note,) = build(subject, copy, "auto")
    assert "was made from another dtype; to make it again, delete" in note


def test_layers_that_are_not_stored_are_read_by_a_pass_and_said_once(
    tiny: Subject, stored: Path, tmp_path: Path
) -> None:
    build(tiny, tmp_path / "i", [0, 2])
    notes: list[str] = []
    collect(tiny, Index.open(tmp_path / "i"), TARGETS, tmp_path / "part", say=notes.append)
    assert len(notes) == 1
    assert "not in the activation store of" in notes[0]
    assert "mlp.1, head.1" in notes[0]
    collect(tiny, Index.open(stored), TARGETS, tmp_path / "whole")
    part, whole = (Collected.open(tmp_path / name, "explore") for name in ("part", "whole"))
    for unit in TARGETS:
        expected = whole.activations(unit)[:, 1:]  # the first token does not count
        scale = np.abs(expected).max()
        np.testing.assert_allclose(part.activations(unit)[:, 1:], expected, atol=2e-3 * scale)


def with_scaled_input(factor: float, *layers: int) -> Subject:
    """A subject in which MLPs read numbers `factor` times as large, with the same effect."""
    subject = tiny_subject()
    for layer in layers:
        block = subject.model.model.layers[layer]
        with torch.no_grad():
            block.post_attention_layernorm.weight.mul_(factor)
            block.mlp.gate_proj.weight.div_(factor)
            block.mlp.up_proj.weight.div_(factor)
    return subject


def test_a_layer_beyond_float16_is_left_out_by_name(tmp_path: Path) -> None:
    subject = with_scaled_input(1e6, 1)
    notes = build(subject, tmp_path / "i")
    assert (
        notes[0]
        == "layer 1 is not stored: its MLP's input has numbers that are not finite or beyond float16"
    )
    source = stored_source(subject, Index.open(tmp_path / "i"), "explore")
    assert source is not None
    stored_layers = {layer for kind, layer in source.store.arrays if kind == "mlp_in"}
    assert stored_layers == {0, 2}


def test_a_layer_that_overflows_on_the_way_is_dropped_and_said_once(tmp_path: Path) -> None:
    # The plan is made from the longest contexts: those fit, and a rare one does not.
    subject = tiny_subject()
    index = tmp_path / "i"
    build(subject, index)
    source = stored_source(subject, Index.open(index), "explore")
    assert source is not None
    array = source.store.array("mlp_in", 1)
    assert array is not None
    rows = np.abs(source.store.read(array, 0, source.store.tokens)).max(axis=1).astype(np.float64)
    probed = np.abs(source.store.read(array, 0, 4 * CONTEXT_LEN)).max()
    factor = 65504 / (0.5 * (rows.max() + float(probed)))
    assert rows.max() > 1.05 * probed
    scaled = with_scaled_input(factor, 1)
    notes = build(scaled, tmp_path / "scaled")
    assert notes == [
        "layer 1 is not stored: mlp_in-1 has numbers that are not finite or beyond float16; what "
        "needs it runs the subject"
    ]
    collect(scaled, Index.open(tmp_path / "scaled"), TARGETS, tmp_path / "c")


@contextmanager
def changed_mlp_input(
    subject: Subject, layer: int, change: Callable[[torch.Tensor], None]
) -> Iterator[None]:
    """Change what a layer's MLP reads in the batches of a pass; the plan's few contexts are as ever."""

    def hook(_module: object, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if len(args[0]) < BATCH:
            return None
        change(values := args[0].clone())
        return (values, *args[1:])

    handle = subject.model.model.layers[layer].mlp.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def one_nan(values: torch.Tensor) -> None:
    values[-1, 1, 0] = torch.nan


def test_a_layer_with_a_nan_that_no_indexed_unit_has_is_left_out(tmp_path: Path) -> None:
    subject, notes = tiny_subject(), list[str]()
    with changed_mlp_input(subject, 1, one_nan):
        build_index(
            subject,
            small_corpus(150),
            tmp_path / "i",
            sites=("head",),
            layers=(0, 1),
            context_len=CONTEXT_LEN,
            store="all",
            warn=notes.append,
        )
    assert [note for note in notes if "not stored" in note] == [
        "layer 1 is not stored: mlp_in-1 has numbers that are not finite or beyond float16; what "
        "needs it runs the subject",
    ]
    source = stored_source(subject, Index.open(tmp_path / "i"), "explore")
    assert source is not None
    assert {layer for _, layer in source.store.arrays} == {0}


def test_a_nan_of_an_indexed_unit_is_refused_and_the_repaired_subject_stored(
    stored: Path, tmp_path: Path
) -> None:
    subject = tiny_subject()
    with changed_mlp_input(subject, 1, one_nan), pytest.raises(UsageError, match=r"of mlp\.1"):
        build(subject, tmp_path / "i")
    assert build(subject, tmp_path / "i") == []
    assert files(tmp_path / "i") == files(stored)


def test_an_index_goes_on_after_the_input_of_an_mlp_could_not_be_read(
    stored: Path, tmp_path: Path
) -> None:
    subject, n_batches = tiny_subject(), 0

    def fail(_values: torch.Tensor) -> None:
        nonlocal n_batches
        n_batches += 1
        if n_batches == 4:
            raise RuntimeError("the device is lost")

    with changed_mlp_input(subject, 1, fail), pytest.raises(RuntimeError, match="is lost"):
        build(subject, tmp_path / "i")
    assert not any(layer.mlp._forward_pre_hooks for layer in subject.model.model.layers)
    assert build(subject, tmp_path / "i") == []
    assert files(tmp_path / "i") == files(stored)


def test_a_subject_of_which_nothing_can_be_stored_has_an_index(tmp_path: Path) -> None:
    subject = with_scaled_input(1e6, *range(3))
    notes: list[str] = []
    build_index(
        subject,
        small_corpus(),
        tmp_path / "i",
        context_len=CONTEXT_LEN,
        store="auto",
        warn=notes.append,
    )
    assert notes[-1] == "no activation store: no layer can be stored"
    assert not (tmp_path / "i" / "store").exists()
    collect(subject, Index.open(tmp_path / "i"), TARGETS, tmp_path / "c")
