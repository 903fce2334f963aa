"""Activations at single tokens equal those of a pass over their contexts, wherever they come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from hubel.tools.corpus import Corpus
from hubel.tools.errors import CorruptError
from hubel.tools.index import Index, build_index
from hubel.tools.index.activation_store import tokens as token_source
from hubel.tools.index.activation_store.tokens import TokenPlaces, TokenSource
from hubel.tools.subject.address import Site
from hubel.tools.subject.planted_units import parse_suite, plant

if TYPE_CHECKING:
    from hubel.tools.subject.subject import Subject

CONTEXT_LEN = 16
SUITE = """
[[unit]]
id = "days"
layer = 1
meaning = "days"
part = [{ match = '(?:Monday|Friday)', strength = 2.0, hold = 2 }]
"""


def places(index: Index, n: int = 60) -> TokenPlaces:
    """Random tokens, in no order."""
    contexts = index.contexts("explore")
    counted = np.argwhere(contexts.mask)
    chosen = counted[np.random.default_rng(0).permutation(len(counted))[:n]]
    return TokenPlaces(chosen[:, 0], chosen[:, 1])


def read(source: TokenSource, at: TokenPlaces, requests: dict[Site, list[int] | None]) -> dict:
    values: dict[Site, dict[int, np.ndarray]] = {site: {} for site in requests}
    source.read(
        at, requests, lambda site, which, x: values[site].update(zip(which, x, strict=True))
    )
    return {
        site: np.stack([rows[i] for i in range(len(at.context))]) for site, rows in values.items()
    }


def truth(subject: Subject, index: Index, at: TokenPlaces, site: Site) -> np.ndarray:
    """Each token's context captured by itself."""
    contexts = index.contexts("explore")
    rows = []
    for context, position in zip(at.context, at.position, strict=True):
        ids = torch.from_numpy(
            contexts.tokens[context, : contexts.length[context]].astype(np.int64)
        )
        rows.append(subject.capture(ids[None], [site]).activations[site][0, position].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("store", ["all", "none", [0]])
@pytest.mark.parametrize("planted", [False, True])
def test_tokens_are_read_as_a_pass_reads_them(
    tiny: Subject,
    corpus: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: str | list[int],
    planted: bool,
) -> None:
    monkeypatch.setattr(token_source, "TOKENS_AT_ONCE", 7)
    monkeypatch.setattr(token_source, "CONTEXTS_AT_ONCE", 5)
    subject = tiny
    if planted:
        subject = plant(tiny, parse_suite(SUITE), corpus.documents, context_len=CONTEXT_LEN)
    build_index(subject, corpus, tmp_path / "i", context_len=CONTEXT_LEN, store=store)  # type: ignore[arg-type]
    index = Index.open(tmp_path / "i")
    sites = [Site(kind, layer) for layer in range(3) for kind in ("mlp", "head")]
    notes: list[str] = []
    calls: list[int] = []
    handle = tiny.parts.layers[0].mlp.register_forward_hook(lambda *_: calls.append(1))
    source = TokenSource(subject, index, sites, notes.append)
    at = places(index)
    requests = dict.fromkeys(sites) | {Site("mlp", 2): [5, 3]}
    values = read(source, at, requests)
    handle.remove()
    assert bool(calls) == (store != "all")
    assert len(notes) == (store != "all")
    for site in sites:
        expected = truth(subject, index, at, site)
        if site == Site("mlp", 2):
            expected = expected[:, [5, 3]]
        np.testing.assert_allclose(
            values[site], expected, atol=2e-3 * np.abs(expected).max(), err_msg=str(site)
        )


def test_a_changed_byte_of_a_row_is_noticed(tiny: Subject, corpus: Corpus, tmp_path: Path) -> None:
    build_index(tiny, corpus, tmp_path / "i", context_len=CONTEXT_LEN, store="all")
    index = Index.open(tmp_path / "i")
    (shard, *_) = (tmp_path / "i" / "store" / "explore" / "mlp_in-1").iterdir()
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    source = TokenSource(tiny, index, [Site("mlp", 1)])
    with pytest.raises(CorruptError, match="mlp_in-1"):
        read(source, places(index, 3), {Site("mlp", 1): None})
