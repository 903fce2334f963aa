"""An index against everything captured at once and computed with numpy."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import torch

from hubel.tools.corpus import SPLITS, Corpus, corpus_from_documents
from hubel.tools.corpus.split import SALT, split_of
from hubel.tools.errors import ArgumentError, CorruptError, UnavailableError, UsageError
from hubel.tools.index import ExemplarCounts, Index, Progress, build_index
from hubel.tools.index import build as building
from hubel.tools.index.holdout import open_holdout
from hubel.tools.index.index import reader_of
from hubel.tools.index.slot_file import SlotFile
from hubel.tools.subject.address import Site, Unit
from hubel.tools.subject.subject import Subject

from .conftest import CONTEXT_LEN, Truth

UNITS = [Unit("mlp", layer, index) for layer in range(3) for index in (0, 5, 23)] + [
    Unit("head", 1, 3),
    Unit("head", 2, 0),
]
EVERY_SPLIT = pytest.mark.parametrize("split", SPLITS)
EVERY_UNIT = pytest.mark.parametrize("unit", UNITS, ids=str)


def sql(query: str) -> list[tuple[Any, ...]]:
    """What DuckDB answers."""
    return duckdb.connect().execute(query).fetchall()


@EVERY_SPLIT
@EVERY_UNIT
def test_statistics_are_numpys(truth: Truth, index: Index, unit: Unit, split: Any) -> None:
    reader = reader_of(index, split)
    everything = truth.of(unit, split)
    values = everything[np.isfinite(everything)].astype(np.float64)
    statistics = reader.statistics(unit)
    assert statistics.n == len(values)
    assert statistics.min == pytest.approx(values.min(), rel=1e-4, abs=1e-5)
    assert statistics.max == pytest.approx(values.max(), rel=1e-4, abs=1e-5)
    assert statistics.mean == pytest.approx(values.mean(), rel=1e-4, abs=1e-5)
    assert statistics.std == pytest.approx(values.std(), rel=1e-4)
    largest = np.abs(values).max()
    assert statistics.density == pytest.approx(
        (np.abs(values) > 0.1 * largest).mean(), abs=2.5 / len(values)
    )
    assert statistics.positive == pytest.approx((values > 0).mean(), abs=2.5 / len(values))
    for name, q in {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}.items():
        assert getattr(statistics, name) == pytest.approx(
            np.quantile(values, q), rel=2e-3, abs=2e-3 * largest
        )


@EVERY_SPLIT
@EVERY_UNIT
@pytest.mark.parametrize("side", ["+", "-"])
def test_top_exemplars_are_the_highest_peaks(
    truth: Truth, index: Index, unit: Unit, split: Any, side: Any
) -> None:
    if unit.site == "head" and side == "-":
        assert reader_of(index, split).exemplars(unit, side, "top") == []
        return
    reader = reader_of(index, split)
    contexts = reader.contexts()
    everything = truth.of(unit, split) * (1 if side == "+" else -1)
    peaks = np.nan_to_num(everything, nan=-np.inf).max(axis=1)
    exemplars = reader.exemplars(unit, side, "top", k=99)
    stored = 3 if split == "explore" else 2
    expected = np.sort(peaks)[::-1][:stored]
    sign = 1 if side == "+" else -1
    peaks = [sign * e.activations[e.peak] for e in exemplars]
    assert peaks[:1] == [max(peaks)]  # repeated texts stand last
    assert sorted(peaks, reverse=True) == pytest.approx([p for p in expected if p > 0], rel=1e-3)
    for exemplar in exemplars:
        length = int(contexts.length[exemplar.context])
        raw = sign * everything[exemplar.context, 1:length]
        assert exemplar.activations[0] == 0
        assert exemplar.activations[1:] == pytest.approx(raw, rel=1e-3, abs=1e-3)
        assert exemplar.token_ids == contexts.tokens[exemplar.context, :length].tolist()
        assert exemplar.tokens == [index.vocabulary[token] for token in exemplar.token_ids]


@EVERY_UNIT
def test_random_exemplars_are_one_pool_and_quantiles_are_spread_over_it(
    truth: Truth, index: Index, unit: Unit
) -> None:
    contexts = index.contexts("explore")
    everything = truth.of(unit, "explore")
    pool = index.exemplars(unit, "+", "random", k=99)
    assert [e.context for e in pool] == [
        e.context for e in index.exemplars(UNITS[0], "+", "random", k=99)
    ]
    assert len(pool) == 5
    for exemplar in pool:
        length = int(contexts.length[exemplar.context])
        assert exemplar.activations[1:] == pytest.approx(
            everything[exemplar.context, 1:length], rel=1e-3, abs=1e-3
        )
    for side, sign in (("+", 1), ("-", -1)):
        peaks = [
            max(sign * a for a in e.activations[1:])
            for e in index.exemplars(unit, side, "quantile", k=3)  # type: ignore[arg-type]
        ]
        ranked = sorted((max(sign * a for a in e.activations[1:]) for e in pool), reverse=True)
        assert peaks == [ranked[0], ranked[2], ranked[4]]


def test_no_document_is_in_two_splits(index: Index) -> None:
    where: dict[str, set[str]] = {}
    for split in SPLITS:
        reader = reader_of(index, split)
        contexts = reader.contexts()
        for row in contexts.documents:
            where.setdefault(row.id, set()).add(split)
        rows = sql(
            f"select count(*) from '{index.path}/{split}/contexts.parquet' c "
            f"anti join '{index.path}/{split}/documents.parquet' d on c.document = d.document"
        )
        assert rows == [(0,)]
        for number, row in enumerate(contexts.documents):
            assert contexts.length[contexts.document == number].sum() == row.n_tokens
    assert len(where) == 40
    assert all(len(splits) == 1 for splits in where.values())
    assert where["d1"] == where["d0"]  # nearly the same text


def test_documents_go_where_the_rule_says(index: Index, corpus: Corpus) -> None:
    assert index.salt == SALT
    where = {
        row.id: (row.split, row.group)
        for s in SPLITS
        for row in reader_of(index, s).contexts().documents
    }
    alone = [d for n, d in enumerate(corpus.documents) if n % 10 not in (0, 1)]
    assert all(where[document.id][0] == split_of(document.text) for document in alone)


def test_holdout_opens_through_its_own_door_only(index: Index) -> None:
    for wrong in ("holdout", "train"):
        with pytest.raises(ArgumentError, match="holdout is opened by verification only"):
            index.contexts(wrong)  # type: ignore[arg-type]
    assert len(open_holdout(index).contexts()) == index.n_contexts["holdout"] > 0


def test_duckdb_reads_every_file(index: Index) -> None:
    for path in sorted(index.path.rglob("*.parquet")):
        assert sql(f"select count(*) from '{path}'") != [(0,)], path
    rows = sql(
        f"select context, peak, activations from '{index.path}/explore/exemplars/mlp-*.parquet' "
        f"where layer = 1 and unit = 5 and kind = 'top' and side = '-' order by rank"
    )
    for (context, peak, activations), exemplar in zip(
        rows, index.exemplars(UNITS[4], "-"), strict=True
    ):
        assert (context, len(activations)) == (exemplar.context, CONTEXT_LEN)
        assert activations[: len(exemplar.activations)] == exemplar.activations
        assert peak == pytest.approx(min(activations), rel=1e-3)


def test_what_was_indexed_is_written_down(tiny: Subject, index: Index, corpus: Corpus) -> None:
    assert (index.subject_name, index.subject_revision) == (tiny.name, tiny.revision)
    assert (index.corpus_name, index.corpus_sha256) == (corpus.name, corpus.sha256)
    assert index.shape == tiny.shape
    assert index.vocabulary == tiny.token_strings()
    assert index.tokens == sum(len(tiny.tokenize(d.text).ids) for d in corpus.documents)
    assert index.summary.units == 3 * (24 + 4)
    assert index.summary.bytes == sum(p.stat().st_size for p in index.path.rglob("*.parquet"))
    assert not (index.path / "work").exists()
    assert index.summary.forward_seconds > 0
    assert index.summary.total_seconds > 0


def small(subject: Subject, corpus: Corpus, out: Path, **options: Any) -> Any:
    return build_index(
        subject,
        corpus,
        out,
        context_len=CONTEXT_LEN,
        exemplar_counts=ExemplarCounts(top=(2, 1, 1)),
        **options,
    )


def test_a_second_call_leaves_the_index_as_it_is(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    first = small(tiny, corpus, tmp_path / "i")
    assert small(tiny, corpus, tmp_path / "i") == first
    with pytest.raises(UsageError, match="another seed; give another --out"):
        small(tiny, corpus, tmp_path / "i", seed=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds other files"):
        small(tiny, corpus, tmp_path / "full")


def test_early_layers_stop_the_pass(tiny: Subject, corpus: Corpus, tmp_path: Path) -> None:
    reached: list[int] = []
    handles = [
        layer.mlp_down.register_forward_pre_hook(lambda *_, n=n: reached.append(n))
        for n, layer in enumerate(tiny.parts.layers)
    ]
    try:
        small(tiny, corpus, tmp_path / "i", layers=[1, 0])
    finally:
        for handle in handles:
            handle.remove()
    assert set(reached) == {0, 1}
    index = Index.open(tmp_path / "i")
    assert index.sites == (Site("head", 0), Site("mlp", 0), Site("head", 1), Site("mlp", 1))
    with pytest.raises(
        ArgumentError, match=r"mlp\.2 is not in this index, which has mlp of layers 0, 1"
    ):
        index.statistics(Unit("mlp", 2, 0))


def test_directions_of_the_residual_stream_are_units_too(corpus: Corpus, tmp_path: Path) -> None:
    from tests.support.tiny import D_MODEL, tiny_subject

    subject = tiny_subject(
        directions={1: {"a": torch.ones(D_MODEL), "b": torch.arange(D_MODEL).float() - 3}}
    )
    small(subject, corpus, tmp_path / "i", sites=["resid"])
    index, unit = Index.open(tmp_path / "i"), Unit("resid", 1, name="b")
    everything = Truth(subject, index).of(unit, "explore")
    assert index.statistics(unit).max == pytest.approx(np.nanmax(everything), rel=1e-4)
    assert index.exemplars(unit, "-")[0].activations[
        index.exemplars(unit, "-")[0].peak
    ] == pytest.approx(np.nanmin(everything), rel=1e-3)


def test_other_directions_of_the_same_names_are_another_index(
    corpus: Corpus, tmp_path: Path
) -> None:
    from tests.support.tiny import D_MODEL, tiny_subject

    first, other = (torch.arange(D_MODEL).float() - shift for shift in (3, 4))
    small(tiny_subject(directions={1: {"a": first}}), corpus, tmp_path / "i", sites=["resid"])
    small(tiny_subject(directions={1: {"a": first}}), corpus, tmp_path / "i", sites=["resid"])
    with pytest.raises(UsageError, match="an index of another directions_sha256"):
        small(tiny_subject(directions={1: {"a": other}}), corpus, tmp_path / "i", sites=["resid"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sites": ["sae"]}, "no units to index"),
        ({"sites": ["sae.x"]}, "site 'sae.x' given"),
        ({"sites": ["mpl"]}, "site 'mpl' given; choose from"),
        ({"sites": ["resid"]}, "no units to index"),
        ({"sites": []}, "no sites given"),
        ({"layers": [3]}, "layer 3 given; the subject has layers 0 to 2"),
        ({"context_len": 500}, "reads at most 128"),
    ],
)
def test_wrong_options_of_a_build_are_refused(
    tiny: Subject, corpus: Corpus, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_index(tiny, corpus, tmp_path / "i", **options)
    assert not (tmp_path / "i").exists()


def test_a_corpus_without_explore_is_too_small(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    only = next(d for d in corpus.documents if split_of(d.text) == "holdout")
    with pytest.raises(UsageError, match="none of the corpus's 1 documents falls to explore"):
        small(tiny, corpus_from_documents("one", [only]), tmp_path / "i")


def test_a_corpus_of_explore_only_has_empty_other_splits(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    only = next(
        d for n, d in enumerate(corpus.documents) if n % 10 > 1 and split_of(d.text) == "explore"
    )
    small(tiny, corpus_from_documents("one", [only]), tmp_path / "i")
    index = Index.open(tmp_path / "i")
    assert len(index.contexts("select")) == 0
    assert reader_of(index, "select").exemplars(UNITS[0]) == []
    assert reader_of(index, "select").statistics(UNITS[0]).n == 0


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_is_one_line_and_resumable(
    tiny: Subject, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, "no")

    with monkeypatch.context() as patch:
        patch.setattr(SlotFile, "write", fail)
        with pytest.raises(UnavailableError, match="cannot write"):
            small(tiny, corpus, tmp_path / "i")
    with pytest.raises(CorruptError, match="unfinished index"):
        Index.open(tmp_path / "i")
    small(tiny, corpus, tmp_path / "i")
    assert Index.open(tmp_path / "i").tokens > 0


def test_progress_tells_tokens_and_the_models_share(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    summary = small(tiny, corpus, tmp_path / "i", progress=seen.append)
    done = [p.done for p in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1].total == summary.tokens
    assert seen[-1].forward_share is not None
    assert "forward pass" in seen[-1].note


def test_the_models_time_is_never_more_than_all_time(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    """On a machine that is busy whenever a batch is run without hooks."""
    seen: set[bytes] = set()

    def busy(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        text = inputs[0].numpy().tobytes()
        if text in seen:
            time.sleep(0.1)
        seen.add(text)

    handle = tiny.parts.layers[0].mlp_down.register_forward_pre_hook(busy)
    try:
        summary = small(tiny, corpus, tmp_path / "i")
    finally:
        handle.remove()
    assert 0 < summary.forward_seconds <= summary.total_seconds


def test_opening_what_is_no_index(tmp_path: Path, tiny: Subject, corpus: Corpus) -> None:
    with pytest.raises(UsageError, match=r"no index at .*nowhere"):
        Index.open(tmp_path / "nowhere")
    with pytest.raises(CorruptError, match="holds no index"):
        Index.open(tmp_path)
    small(tiny, corpus, tmp_path / "i")
    path = tmp_path / "i" / "explore" / "exemplars" / "mlp-1.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CorruptError, match=r"mlp-1\.parquet has [\d,]+ bytes, but"):
        Index.open(tmp_path / "i").exemplars(Unit("mlp", 1, 0))
    content = json.loads((tmp_path / "i" / "index.json").read_text())
    (tmp_path / "i" / "index.json").write_text(json.dumps(content)[:-5])
    with pytest.raises(CorruptError, match="damaged"):
        Index.open(tmp_path / "i")
    (tmp_path / "i" / "index.json").write_text(json.dumps(content | {"format": 99}))
    with pytest.raises(CorruptError, match="index format 99"):
        Index.open(tmp_path / "i")


def test_arguments_that_an_explainer_can_repair(index: Index) -> None:
    for arguments in (("+", "best", 8), ("both", "top", 8), ("+", "top", 0)):
        with pytest.raises(ArgumentError, match="given"):
            index.exemplars(UNITS[0], *arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="units 0 to 23"):
        index.statistics(Unit("mlp", 0, 24))


def test_the_default_index_is_under_20_mb_for_1536_neurons() -> None:
    """By arithmetic: bytes of activations at the default counts and contexts of 64; the rest is a few percent."""
    counts = building.ExemplarCounts()
    exemplars = 2 * sum(counts.top) + sum(counts.pool)
    assert exemplars * 64 * 2 * 1536 * 1.1 < 20e6
