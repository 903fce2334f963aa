"""Indexes of functions of stored vectors, against the index's own units and loops over a fresh pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch

from hubel.tools.corpus import SPLITS
from hubel.tools.errors import CorruptError, UsageError
from hubel.tools.index import ExemplarCounts, Index, build_index, collect, derived_units
from hubel.tools.index.collected import Collected
from hubel.tools.index.derived_index import index_derived_units
from hubel.tools.index.derived_units import DerivedUnits, direction_units, own_units
from hubel.tools.index.index import reader_of
from hubel.tools.subject.address import Site, Unit
from tests.support.tiny import tiny_subject

from .conftest import CONTEXT_LEN

if TYPE_CHECKING:
    from hubel.tools.corpus import Corpus
    from hubel.tools.subject.subject import Subject

COUNTS = ExemplarCounts(top=(3, 2, 2), pool=(5, 2, 2), sample=(10_000, 10_000, 10_000))
N_DIRECTIONS = 200
SIGNS: dict[Literal["+", "-"], int] = {"+": 1, "-": -1}


@pytest.fixture(scope="module")
def stored(tiny: Subject, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """An index of all neurons and heads with a store of all layers."""
    folder = tmp_path_factory.mktemp("stored") / "i"
    build_index(tiny, corpus, folder, context_len=CONTEXT_LEN, exemplar_counts=COUNTS, store="all")
    return Index.open(folder)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rounds of several blocks."""
    monkeypatch.setattr(derived_units, "BLOCK", 64)
    monkeypatch.setattr(derived_units, "ROUND", 128)


@contextmanager
def no_pass(subject: Subject) -> Iterator[None]:
    """Fail if the subject's first layer runs."""

    def fail(*_args: Any) -> None:
        raise AssertionError("the subject was run")

    handle = subject.parts.layers[0].whole.register_forward_hook(fail)
    try:
        yield
    finally:
        handle.remove()


def random_directions(n: int, width: int) -> dict[str, torch.Tensor]:
    rows = torch.randn(n, width, generator=torch.Generator().manual_seed(0))
    return {f"d{number}": row / row.norm() for number, row in enumerate(rows)}


def captured(subject: Subject, index: Index, split: Any, site: Site) -> np.ndarray:
    """The vectors at a site, each context by itself; NaN where nothing counts."""
    contexts = reader_of(index, split).contexts()
    result: list[np.ndarray] = []
    for tokens, length in zip(contexts.tokens, contexts.length.tolist(), strict=True):
        ids = torch.from_numpy(tokens[:length][None].astype(np.int64))
        values = subject.capture(ids, [site]).activations[site][0].float().numpy()
        padded = np.full((CONTEXT_LEN, values.shape[1]), np.nan)
        padded[1:length] = values[1:]
        result.append(padded)
    return np.stack(result)


def test_a_subjects_own_units_are_those_of_its_index(
    tiny: Subject, stored: Index, tmp_path: Path
) -> None:
    with no_pass(tiny):
        units = [own_units(tiny, site) for site in stored.sites]
        index_derived_units(tiny, stored, units, tmp_path / "i", exemplar_counts=COUNTS)
    index = Index.open(tmp_path / "i")
    assert set(index.sites) == set(stored.sites)
    for split in SPLITS:
        ours, theirs = reader_of(index, split), reader_of(stored, split)
        for site in stored.sites:
            for name, expected in theirs.site_statistics(site)._asdict().items():
                scale = np.abs(theirs.site_statistics(site).max).max()
                found = getattr(ours.site_statistics(site), name)
                atol = 0.02 if name in ("density", "positive") else 2e-3 * scale
                np.testing.assert_allclose(found, expected, atol=atol, err_msg=f"{site} {name}")
        for unit in (Unit("mlp", 1, 5), Unit("mlp", 2, 23), Unit("head", 1, 3)):
            for kind in ("top", "random", "quantile"):
                pairs = zip(
                    ours.exemplars(unit, "+", kind), theirs.exemplars(unit, "+", kind), strict=True
                )
                for own, expected in pairs:
                    assert own.context == expected.context
                    np.testing.assert_allclose(own.activations, expected.activations, atol=0.02)


@pytest.mark.parametrize("kind", ["stream", "mlp_in", "mlp"])
@pytest.mark.usefixtures("small_blocks")
def test_random_directions_are_those_of_a_naive_loop(
    tiny: Subject, stored: Index, tmp_path: Path, kind: Any
) -> None:
    reads = Site(kind, 1)
    width = tiny.shape.count(Site("mlp", 1)) if kind == "mlp" else tiny.d_model
    directions = random_directions(N_DIRECTIONS, width)
    with no_pass(tiny):
        units = [direction_units(1, reads, directions)]
        summary = index_derived_units(tiny, stored, units, tmp_path / "i", exemplar_counts=COUNTS)
    assert summary.units == N_DIRECTIONS
    index = Index.open(tmp_path / "i")
    for split in SPLITS:
        reader, vectors = reader_of(index, split), captured(tiny, stored, split, reads)
        for name in ("d0", "d63", "d64", "d127", "d128", "d199"):
            unit = Unit("resid", 1, name=name)
            expected = vectors @ directions[name].double().numpy()
            counted = expected[np.isfinite(expected)]
            scale = np.abs(counted).max()
            row = reader.statistics(unit)
            assert row.n == len(counted)
            assert row.mean == pytest.approx(counted.mean(), abs=2e-3 * scale)
            assert row.std == pytest.approx(counted.std(), rel=2e-3)
            assert row.max == pytest.approx(counted.max(), abs=2e-3 * scale)
            assert row.min == pytest.approx(counted.min(), abs=2e-3 * scale)
            assert row.q90 == pytest.approx(np.quantile(counted, 0.9), abs=4e-3 * scale)
            for side, sign in SIGNS.items():
                peaks = np.nan_to_num(sign * expected, nan=-np.inf).max(axis=1)
                best = np.sort(peaks)[::-1][: 3 if split == "explore" else 2]
                found = [
                    max(sign * value for value in exemplar.activations[1:])
                    for exemplar in reader.exemplars(unit, side, "top", 99)
                ]
                np.testing.assert_allclose(
                    sorted(found, reverse=True), best[best > 0], atol=4e-3 * scale
                )


@pytest.mark.usefixtures("small_blocks")
def test_directions_of_a_derived_index_are_collected_from_the_same_store(
    tiny: Subject, stored: Index, tmp_path: Path
) -> None:
    directions = random_directions(4, tiny.d_model)
    units = [direction_units(2, Site("stream", 2), directions)]
    index_derived_units(tiny, stored, units, tmp_path / "i")
    named = tiny_subject(directions={2: directions})
    with no_pass(named):
        collect(named, Index.open(tmp_path / "i"), [Unit("resid", 2, name="d3")], tmp_path / "c")
    found = Collected.open(tmp_path / "c", "explore")
    expected = captured(tiny, stored, "explore", Site("stream", 2)) @ directions["d3"].numpy()
    np.testing.assert_allclose(
        found.activations(Unit("resid", 2, name="d3"))[found.mask],
        expected[found.mask],
        atol=2e-3 * np.nanmax(np.abs(expected)),
    )


def test_other_directions_of_the_same_names_are_another_derived_index(
    tiny: Subject, stored: Index, tmp_path: Path
) -> None:
    directions = random_directions(2, tiny.d_model)
    turned = {name: -vector for name, vector in directions.items()}
    site = Site("stream", 2)
    index_derived_units(tiny, stored, [direction_units(2, site, directions)], tmp_path / "i")
    with pytest.raises(UsageError, match="an index of another directions_sha256"):
        index_derived_units(tiny, stored, [direction_units(2, site, turned)], tmp_path / "i")


def test_an_index_without_a_store_is_read_by_a_pass(
    tiny: Subject, index: Index, stored: Index, tmp_path: Path
) -> None:
    units = [direction_units(1, Site("stream", 1), random_directions(3, tiny.d_model))]
    index_derived_units(tiny, index, units, tmp_path / "pass", exemplar_counts=COUNTS)
    index_derived_units(tiny, stored, units, tmp_path / "store", exemplar_counts=COUNTS)
    one, other = Index.open(tmp_path / "pass"), Index.open(tmp_path / "store")
    for fresh, ours in zip(
        one.site_statistics(Site("resid", 1)), other.site_statistics(Site("resid", 1)), strict=True
    ):
        np.testing.assert_allclose(ours, fresh, rtol=0.01, atol=0.02)


def test_a_killed_call_goes_on_and_ends_the_same(
    tiny: Subject, stored: Index, tmp_path: Path
) -> None:
    units = [direction_units(1, Site("stream", 1), random_directions(3, tiny.d_model))]

    def stop(progress: Any) -> None:
        if progress.done > 0.9 * progress.total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_derived_units(tiny, stored, units, tmp_path / "killed", progress=stop)
    for out in ("killed", "whole", "whole"):
        index_derived_units(tiny, stored, units, tmp_path / out)
    for path in (tmp_path / "whole").rglob("*"):
        other = tmp_path / "killed" / path.relative_to(tmp_path / "whole")
        if path.is_file() and path.name != "index.json":
            assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([], "no units"),
        ([DerivedUnits(Site("resid", 1), Site("stream", 1), 2, lambda v, b: v[..., b])], "0 diff"),
        ([DerivedUnits(Site("mlp", 1), Site("mlp", 1), 2, lambda v, b: v[..., b])] * 2, "twice"),
    ],
)
def test_units_without_addresses_of_their_own_are_refused(
    tiny: Subject, stored: Index, tmp_path: Path, units: list[DerivedUnits], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        index_derived_units(tiny, stored, units, tmp_path / "i")


def test_a_layer_that_was_not_stored_is_read_by_a_pass_and_said_once(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    build_index(tiny, corpus, tmp_path / "i", context_len=CONTEXT_LEN, store=[1])
    notes: list[str] = []
    directions = random_directions(3, tiny.d_model)
    units = [direction_units(layer, Site("stream", layer), directions) for layer in (1, 2)]
    index_derived_units(tiny, Index.open(tmp_path / "i"), units, tmp_path / "d", say=notes.append)
    (note,) = notes
    assert "not in the activation store" in note
    assert note.endswith("stream.2")


def test_a_damaged_store_is_named_and_writes_no_index(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    build_index(tiny, corpus, tmp_path / "i", context_len=CONTEXT_LEN, store="all")
    shard = tmp_path / "i" / "store" / "select" / "mlp_in-1" / "00000.bin"
    content = bytearray(shard.read_bytes())
    content[100] ^= 1
    shard.write_bytes(content)
    units = [direction_units(1, Site("stream", 1), random_directions(3, tiny.d_model))]
    index = Index.open(tmp_path / "i")
    with pytest.raises(CorruptError, match=r"mlp_in-1/00000\.bin is damaged"):
        index_derived_units(tiny, index, units, tmp_path / "d")
    assert not (tmp_path / "d" / "index.json").exists()
    content[100] ^= 1
    shard.write_bytes(content)
    index_derived_units(tiny, Index.open(tmp_path / "i"), units, tmp_path / "d")
    assert Index.open(tmp_path / "d").shape.count(Site("resid", 1)) == 3
