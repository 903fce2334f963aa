"""What reads activations on an index's text: from the store without a pass, and else by a short one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from hubel.tools.corpus import SPLITS, Corpus, corpus_from_documents
from hubel.tools.corpus.document import Document
from hubel.tools.index import Index, build_index, collect
from hubel.tools.index.collected import Collected
from hubel.tools.index.index import store_of
from hubel.tools.instruments import InstrumentContext, call
from hubel.tools.subject import PlantedSubject, plant
from hubel.tools.subject.address import Unit
from hubel.tools.subject.nulls import (
    ArtificialUnit,
    NoiseUnit,
    redrawn_unit,
    rotated_units,
    shuffled_unit,
)
from hubel.tools.subject.planted_units import parse_suite
from tests.support.suites import NULLS_AND_ROTATED, REDRAWN
from tests.support.tiny import D_MODEL, N_LAYERS, N_NEURONS, tiny_subject

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

CONTEXT_LEN = 16
TOLERANCE = 2e-3
"""Of a unit's largest activation; float16 rounds an MLP's input by 0.0005."""
SUITE = r"""
seed = 3
[[unit]]
id = "days"
layer = 0
meaning = "days of the week"
[[unit.part]]
match = '\b(?:Mon|Tues|Fri)day\b'
strength = 3.0
writes = " cat"
[[unit]]
id = "noisy"
layer = 1
meaning = "numbers"
[[unit.part]]
match = '[0-9]+'
side = "-"
strength = 2.0
noise = 0.1
"""
SUITE += NULLS_AND_ROTATED + REDRAWN


@contextmanager
def modules_run(subject: Subject) -> Iterator[list[str]]:
    """The layers that run, by number, and the unembedding."""
    ran: list[str] = []
    modules = {str(number): layer.whole for number, layer in enumerate(subject.parts.layers)}
    modules["logits"] = subject.parts.unembed

    def note(name: str) -> Callable[..., None]:
        return lambda *_args: ran.append(name)

    handles = [module.register_forward_pre_hook(note(name)) for name, module in modules.items()]
    try:
        yield ran
    finally:
        for handle in handles:
            handle.remove()


def directed_subject() -> Subject:
    rows = torch.randn(3, D_MODEL, generator=torch.Generator().manual_seed(0))
    return tiny_subject(directions={1: {f"d{i}": row for i, row in enumerate(rows)}})


@pytest.fixture(scope="module")
def named() -> Subject:
    return directed_subject()


@pytest.fixture(scope="module")
def indexes(
    named: Subject, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Index]:
    """The same index with and without a store."""
    folder = tmp_path_factory.mktemp("indexes")
    for store in ("all", "none"):
        build_index(
            named,
            corpus,
            folder / store,
            sites=("mlp", "head", "resid"),
            context_len=CONTEXT_LEN,
            store=store,
        )
    return {store: Index.open(folder / store) for store in ("all", "none")}


def collect_both(
    subject: dict[str, Subject],
    indexes: dict[str, Index],
    units: Sequence[Unit],
    folder: Path,
    extra: Sequence[ArtificialUnit] = (),
) -> dict[str, float]:
    """Collect from a store and by a pass.

    Returns:
        By unit, the largest difference of the two, relative to the unit's largest activation.
    """
    for store, index in indexes.items():
        with modules_run(subject[store]) as ran:
            collect(subject[store], index, units, folder / store, extra=extra)
        assert bool(ran) == (store == "none")
    all_units = (*units, *(column.unit for column in extra))
    largest: dict[str, float] = {}
    for split in SPLITS:
        stored, fresh = (Collected(folder / s / f"{split}.safetensors") for s in ("all", "none"))
        for unit in all_units:
            expected = fresh.activations(unit)[fresh.mask]
            difference = np.abs(stored.activations(unit)[stored.mask] - expected).max()
            # A planted unit may fire on no text of a split; then the store has only zeros too.
            relative = difference / (np.abs(expected).max() or 1.0)
            largest[str(unit)] = max(largest.get(str(unit), 0.0), float(relative))
    return largest


def test_units_nulls_and_controls_are_collected_from_the_store(
    named: Subject, indexes: dict[str, Index], tmp_path: Path
) -> None:
    names = ("mlp.0.3", "mlp.2.5", "head.1.0", "resid.1@d1")
    new = [Unit("mlp", 1, N_NEURONS + number) for number in range(5)]
    extra: list[ArtificialUnit] = [
        NoiseUnit(unit=new[0]),
        shuffled_unit(named, new[1], Unit("mlp", 1, 7)),
        *rotated_units(named, new[2:4]),
        redrawn_unit(named, new[4], Unit("mlp", 1, 2)),
    ]
    units = [Unit.parse(name) for name in names]
    differences = collect_both(dict.fromkeys(indexes, named), indexes, units, tmp_path, extra)
    assert len(differences) == len(units) + len(extra)
    assert max(differences.values()) < TOLERANCE, differences


def test_planted_units_are_collected_from_the_store(tmp_path: Path) -> None:
    texts = [f"Monday cat 1999 dog {n} Friday river the bank said 12 on" for n in range(60)]
    documents = [Document(f"d{n}", " ".join([text] * (1 + n % 4))) for n, text in enumerate(texts)]
    corpus = corpus_from_documents("made", documents, "0" * 64)

    def planted() -> PlantedSubject:
        suite = parse_suite(SUITE)
        return plant(tiny_subject(), suite, documents, context_len=CONTEXT_LEN)

    indexes: dict[str, Index] = {}
    for store in ("all", "none"):
        build_index(planted(), corpus, tmp_path / store, context_len=CONTEXT_LEN, store=store)
        indexes[store] = Index.open(tmp_path / store)
    # A subject that is planted again has no table of shuffled nulls yet.
    subjects: dict[str, Any] = {store: planted() for store in indexes}
    units = [*subjects["all"].suite_unit_at, Unit("mlp", 1, 4), Unit("mlp", 2, 4)]
    differences = collect_both(subjects, indexes, units, tmp_path / "c")
    assert len(differences) == len(units)
    assert max(differences.values()) < TOLERANCE, differences


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("corpus.search", {"unit": "mlp.1.5", "pattern": "Monday"}),
        ("corpus.search", {"unit": "resid.1@d2-", "pattern": "Monday"}),
        ("coactivating", {"unit": "mlp.1.5", "contexts": 9}),
    ],
)
def test_instruments_read_contexts_of_the_corpus_from_the_store(
    named: Subject, indexes: dict[str, Index], name: str, arguments: dict[str, Any]
) -> None:
    results: dict[str, Any] = {}
    for store, index in indexes.items():
        with modules_run(named) as ran:
            results[store] = call(name, arguments, InstrumentContext(named, index)).to_json()
        assert bool(ran) == (store == "none")
        assert "logits" not in ran
    _assert_close(results["all"], results["none"])


def _assert_close(ours: Any, theirs: Any) -> None:
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for key in ours:
            _assert_close(ours[key], theirs[key])
    elif isinstance(ours, list):
        for one, other in zip(ours, theirs, strict=True):
            _assert_close(one, other)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, abs=0.02)
    else:
        assert ours == theirs


@pytest.mark.parametrize(
    "read",
    [
        lambda s, i, out: collect(s, i, [Unit("mlp", 0, 3), Unit("head", 1, 0)], out / "c"),
        lambda s, i, out: call(
            "corpus.search", {"unit": "mlp.1.5", "pattern": "the"}, InstrumentContext(s, i)
        ),
        lambda s, i, out: call(
            "activations.on_text",
            {"units": ["mlp.1.5"], "texts": ["the cat on Monday"]},
            InstrumentContext(s, i),
        ),
        lambda s, i, out: call(
            "compare",
            {"unit": "mlp.1.5", "text": "the cat on Monday", "other": "the dog on Monday"},
            InstrumentContext(s, i),
        ),
        lambda s, i, out: call(
            "activations.search",
            {"text": "the cat on Monday", "layers": [0, 1]},
            InstrumentContext(s, i),
        ),
    ],
    ids=["collect", "corpus.search", "on_text", "compare", "activations.search"],
)
def test_without_a_store_a_pass_stops_at_the_deepest_layer_needed(
    named: Subject,
    indexes: dict[str, Index],
    tmp_path: Path,
    read: Callable[[Subject, Index, Path], object],
) -> None:
    with modules_run(named) as ran:
        read(named, indexes["none"], tmp_path)
    assert set(ran) == {"0", "1"}
    assert N_LAYERS > 2


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Threads that change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("many_switches")
def test_a_store_is_read_by_several_threads(indexes: dict[str, Index]) -> None:
    store = store_of(indexes["all"], "explore")
    assert store is not None
    assert store is store_of(indexes["all"], "explore")  # it is opened once
    array = store.array("mlp_in", 1)
    assert array is not None
    whole = store.read(array, 0, store.tokens)

    def differs(start: int) -> bool:
        rows = store.read(array, start, start + 5)
        return not np.array_equal(rows, whole[start : start + 5])

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(differs, [n % (store.tokens - 5) for n in range(5000)]))
