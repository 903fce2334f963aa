"""In half precision, what a store has is what a fresh pass computes, to the rounding of the pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Corpus
from hubel.tools.index import Index, build_index
from hubel.tools.index.activation_store.source import (
    ActivationSource,
    ContextBatch,
    SubjectSource,
    stored_source,
)
from hubel.tools.index.index import reader_of
from hubel.tools.subject.address import Site
from tests.support.tiny import N_LAYERS, tiny_subject
from tests.tools.index.conftest import CONTEXT_LEN

KINDS = ("mlp", "mlp_in", "head", "stream")
ROUNDING = {"float16": 4e-3, "bfloat16": 3e-2}
"""Of the largest value of a site. A store computes in float32 from float16; a pass of a subject in
another format rounds after each step, with a relative error of 0.0005 or 0.004."""


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma3_text"])
def test_half_precision_is_stored_to_its_rounding(
    model_type: str, dtype: str, corpus: Corpus, tmp_path: Path
) -> None:
    subject = tiny_subject(model_type)
    subject.model.to(getattr(torch, dtype))
    notes: list[str] = []
    build_index(
        subject, corpus, tmp_path / "i", context_len=CONTEXT_LEN, store="all", warn=notes.append
    )
    assert not [note for note in notes if "small corpus" not in note]
    index = Index.open(tmp_path / "i")
    source = stored_source(subject, index, "explore")
    assert source is not None
    contexts = reader_of(index, "explore").contexts()
    numbers = np.flatnonzero(contexts.length > 1)[:8]
    ids = torch.from_numpy(contexts.tokens[numbers].astype(np.int64))
    batch = ContextBatch(numbers, contexts.length[numbers], ids)
    sites = [Site(kind, layer) for layer in range(N_LAYERS) for kind in KINDS]
    assert all(source.covers(site) for site in sites)
    stored, fresh = values(source, batch, sites), values(SubjectSource(subject), batch, sites)
    counted = np.arange(ids.shape[1]) < batch.length[:, None]
    counted[:, 0] = False
    for site in sites:
        scale = np.abs(fresh[site][counted]).max()
        np.testing.assert_allclose(
            stored[site][counted],
            fresh[site][counted],
            atol=ROUNDING[dtype] * scale,
            rtol=0,
            err_msg=str(site),
        )


def values(
    source: ActivationSource, batch: ContextBatch, sites: list[Site]
) -> dict[Site, np.ndarray]:
    result: dict[Site, np.ndarray] = {}
    source.read(
        batch, dict.fromkeys(sites), lambda site, v: result.__setitem__(site, v.float().numpy())
    )
    return result
