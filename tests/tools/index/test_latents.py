"""Latents in an index, against a loop over all of them; their sparsity changes no number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from hubel.tools.corpus import SPLITS
from hubel.tools.errors import ArgumentError, UsageError
from hubel.tools.index import (
    ExemplarCounts,
    Index,
    build_index,
    collect,
    latent_blocks,
    latent_totals,
)
from hubel.tools.index.collected import Collected
from hubel.tools.index.index import reader_of
from hubel.tools.subject.address import Site, Unit
from hubel.tools.subject.attach_latents import attach_latents
from hubel.tools.subject.subject import Subject
from tests.support.dictionaries import ActivationName, random_dictionary
from tests.support.tiny import tiny_subject

from .conftest import CONTEXT_LEN

if TYPE_CHECKING:
    from hubel.tools.corpus import Corpus

COUNTS = ExemplarCounts(top=(3, 2, 2), pool=(5, 2, 2), sample=(64, 64, 64))
LATENTS = Site.of_dictionary("random")
NAMES: tuple[ActivationName, ...] = ("relu", "topk", "jumprelu", "gated")


def with_dictionary(**options: Any) -> Subject:
    subject = tiny_subject()
    attach_latents(subject, random_dictionary(subject, **options))
    return subject


def build(subject: Subject, corpus: Corpus, folder: Path, **options: Any) -> Index:
    settings: Any = {"sites": ("mlp", "sae"), "layers": [1]} | options
    build_index(
        subject, corpus, folder, context_len=CONTEXT_LEN, exemplar_counts=COUNTS, **settings
    )
    return Index.open(folder)


def activations(subject: Subject, index: Index, split: Any) -> tuple[np.ndarray, np.ndarray]:
    """All latents at every token of a split, by a pass of all its contexts at once."""
    contexts = reader_of(index, split).contexts()
    ids = torch.from_numpy(contexts.tokens.astype(np.int64))
    values = subject.capture(ids, [LATENTS]).activations[LATENTS].numpy()
    real = np.arange(ids.shape[1]) < contexts.length[:, None]
    real[:, 0] = False
    return np.where(real[..., None], values, 0), real


@pytest.mark.parametrize("activation", NAMES)
def test_statistics_and_exemplars_are_those_of_a_dense_loop(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, activation: ActivationName
) -> None:
    for module in (latent_blocks, latent_totals):
        monkeypatch.setattr(module, "BLOCK", 16)
    monkeypatch.setattr(latent_totals, "NUMBERS_AT_ONCE", 40 * 7)
    subject = with_dictionary(activation=activation)
    index = build(subject, corpus, tmp_path / "i")
    for split, k in zip(SPLITS, COUNTS.top, strict=True):
        values, real = activations(subject, index, split)
        counted = values[real]  # token latent
        assert 0.02 < (counted > 0).mean() < 0.9  # some fire and some do not
        reader = reader_of(index, split)
        found = reader.site_statistics(LATENTS)
        expected = {
            "mean": counted.mean(0),
            "std": counted.std(0),
            "min": counted.min(0),
            "max": counted.max(0),
            "positive": (counted > 0).mean(0),
            "density": (counted > 0.1 * counted.max(0)).mean(0),
            "q50": np.quantile(counted, 0.5, axis=0),
            "q99": np.quantile(counted, 0.99, axis=0),
        }
        assert found.n == len(counted)
        for name, column in expected.items():
            np.testing.assert_allclose(getattr(found, name), column, atol=2e-5, err_msg=name)
        peaks = values.max(axis=1)  # context latent
        for latent in range(subject.shape.count(LATENTS)):
            unit = Unit("sae", -1, latent, "random")
            best = reader.exemplars(unit, "+", "top", k)
            assert len(best) <= min(k, (peaks[:, latent] > 0).sum())
            for exemplar in (*best, *reader.exemplars(unit, "+", "random", 5)):
                row = values[exemplar.context, : len(exemplar.activations), latent]
                np.testing.assert_allclose(exemplar.activations, row, rtol=1e-3, atol=1e-6)
            if best:
                assert max(best[0].activations) == pytest.approx(peaks[:, latent].max(), rel=1e-3)


def test_files_do_not_depend_on_how_many_events_fit_into_memory(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = with_dictionary(n_latents=200)
    index = build(subject, corpus, tmp_path / "at once")
    monkeypatch.setattr(latent_blocks, "EVENTS_AT_ONCE", 100)
    ranges: list[int] = []
    read = latent_blocks._events_of
    monkeypatch.setattr(
        latent_blocks,
        "_events_of",
        lambda some, paths: (ranges.append(len(some)), read(some, paths))[1],
    )
    parts = build(subject, corpus, tmp_path / "in parts")
    assert ranges == [64, 64, 64, 8] * len(SPLITS)
    for split in SPLITS:
        for path in sorted((index.path / split).rglob("*.parquet")):
            name = path.relative_to(index.path)
            assert (parts.path / name).read_bytes() == path.read_bytes(), name


@pytest.mark.parametrize(
    ("reads", "writes"),
    [
        (Site("mlp_in", 1), Site("mlp_out", 1)),
        (Site("attn_out", 0), None),
        (Site("z", 1), None),
        (Site("stream", -1), None),
        (Site("mid", 1), None),
    ],
)
def test_every_place_is_read(
    corpus: Corpus, tmp_path: Path, reads: Site, writes: Site | None
) -> None:
    subject = with_dictionary(reads=reads, writes=writes, threshold=0.5)
    index = build(subject, corpus, tmp_path / "i", sites=("sae",), layers=None)
    values, real = activations(subject, index, "explore")
    found = reader_of(index, "explore").site_statistics(LATENTS)
    np.testing.assert_allclose(found.mean, values[real].mean(0), atol=2e-5)
    assert found.max.max() > 0


def test_what_a_run_collects_is_the_same_from_the_store_and_from_a_pass(
    corpus: Corpus, tmp_path: Path
) -> None:
    units = [Unit.parse(f"sae.random.{number}") for number in (3, 0, 17)]
    by_store: dict[str, np.ndarray] = {}
    for store in ("all", "none"):
        subject = with_dictionary(activation="topk")
        index = build(subject, corpus, tmp_path / store, store=store, layers=None)
        collect(subject, index, units, tmp_path / f"{store}-c")
        collected = Collected.open(tmp_path / f"{store}-c", "explore")
        by_store[store] = np.stack([collected.activations(unit) for unit in units])
        values, _ = activations(subject, index, "explore")
        expected = np.moveaxis(values[..., [3, 0, 17]], -1, 0)
        real = collected.mask
        np.testing.assert_allclose(by_store[store][:, real], expected[:, real], atol=0.02)
    assert by_store["all"].max() > 0


def test_a_killed_pass_ends_with_the_same_files(corpus: Corpus, tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    subject = with_dictionary()
    whole = build(subject, corpus, tmp_path / "whole")
    calls = 0

    def kill(_progress: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise Killed

    with pytest.raises(Killed):
        build(subject, corpus, tmp_path / "killed", checkpoint_every=1, progress=kill)
    build(subject, corpus, tmp_path / "killed", checkpoint_every=1)
    for split in SPLITS:
        for path in sorted((whole.path / split).rglob("*.parquet")):
            other = tmp_path / "killed" / path.relative_to(whole.path)
            assert other.read_bytes() == path.read_bytes(), path.name


def test_an_index_of_another_dictionary_is_not_taken_for_this_one(
    corpus: Corpus, tmp_path: Path
) -> None:
    index = build(with_dictionary(), corpus, tmp_path / "i")
    assert index.shape.dictionaries["random"].layer == 1
    with pytest.raises(UsageError, match="another dictionaries"):
        build(with_dictionary(n_latents=41), corpus, tmp_path / "i")
    with pytest.raises(ArgumentError, match=r"sae.other is not in this index.* sae.random"):
        index.site_statistics(Site.of_dictionary("other"))


def test_a_dictionary_that_does_not_fit_is_refused() -> None:
    subject = tiny_subject()
    attach_latents(subject, random_dictionary(subject))
    with pytest.raises(UsageError, match="dictionary name 'random' given"):
        attach_latents(subject, random_dictionary(subject))
    for name in ("", "1a", "a.b", "a b", "a-"):
        with pytest.raises(UsageError, match="dictionary name"):
            attach_latents(subject, random_dictionary(subject, name))
    wide = random_dictionary(subject, "wide", Site("mlp", 1))
    with pytest.raises(UsageError, match=r"of vectors of \d+ numbers, and stream.1 .* has \d+"):
        attach_latents(subject, replace(wide, reads=Site("stream", 1), writes=Site("stream", 1)))
    with pytest.raises(UsageError, match="layer 99 given"):
        attach_latents(subject, replace(wide, name="deep", reads=Site("stream", 99)))


def test_latents_that_fire_everywhere_are_refused(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_totals, "FEW", 10)
    with pytest.raises(UsageError, match=r"fire on \d+% of the tokens, so it is not a sparse"):
        build(with_dictionary(activation="relu"), corpus, tmp_path / "i")
