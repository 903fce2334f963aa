"""What is computed from a store equals a fresh pass, to the rounding of float16."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hubel.tools.corpus import SPLITS, Corpus
from hubel.tools.index import Index, build_index, collect
from hubel.tools.index.activation_store.source import (
    ContextBatch,
    StoredSource,
    SubjectSource,
    stored_source,
)
from hubel.tools.index.collected import Collected
from hubel.tools.index.index import reader_of
from hubel.tools.subject.address import Site, Unit
from tests.support.tiny import MODEL_TYPES, tiny_subject

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

CONTEXT_LEN = 16


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_every_site_from_the_store_is_that_of_a_pass(
    model_type: str, corpus: Corpus, tmp_path: Path
) -> None:
    subject = tiny_subject(model_type)
    build_index(subject, corpus, tmp_path / "i", context_len=CONTEXT_LEN, store="all")
    index = Index.open(tmp_path / "i")
    sites = [Site(k, layer) for layer in range(3) for k in ("mlp", "mlp_in", "head", "stream")]
    for split in SPLITS:
        source = stored_source(subject, index, split)
        assert source is not None
        contexts = reader_of(index, split).contexts()
        numbers = np.flatnonzero(contexts.length > 1)
        ids = torch.from_numpy(contexts.tokens[numbers].astype(np.int64))
        batch = ContextBatch(numbers, contexts.length[numbers], ids)
        stored, fresh = _read(source, batch, sites), _read(SubjectSource(subject), batch, sites)
        real = np.arange(ids.shape[1]) < batch.length[:, None]
        for site in sites:
            scale = np.abs(fresh[site][real]).max()
            np.testing.assert_allclose(
                stored[site][real], fresh[site][real], atol=2e-3 * scale, err_msg=str(site)
            )


def _read(
    source: StoredSource | SubjectSource, batch: ContextBatch, sites: list[Site]
) -> dict[Site, np.ndarray]:
    values: dict[Site, np.ndarray] = {}
    source.read(
        batch, dict.fromkeys(sites), lambda site, v: values.__setitem__(site, v.float().numpy())
    )
    return values


def test_collecting_from_a_store_runs_no_subject(
    tiny: Subject, corpus: Corpus, tmp_path: Path
) -> None:
    units = [Unit.parse(text) for text in ("mlp.0.3", "mlp.2.5", "head.1.0")]
    collected: dict[str, Collected] = {}
    for choice in ("all", "none"):
        build_index(tiny, corpus, tmp_path / choice, context_len=CONTEXT_LEN, store=choice)
        calls: list[int] = []
        handle = tiny.parts.layers[0].mlp.register_forward_hook(lambda *_, c=calls: c.append(1))
        collect(tiny, Index.open(tmp_path / choice), units, tmp_path / f"{choice}-c")
        handle.remove()
        assert bool(calls) == (choice == "none")
        collected[choice] = Collected.open(tmp_path / f"{choice}-c", "explore")
    for unit in units:
        stored, fresh = (collected[choice].activations(unit) for choice in ("all", "none"))
        np.testing.assert_allclose(stored, fresh, atol=2e-3 * np.abs(fresh).max())
