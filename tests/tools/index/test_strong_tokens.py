"""The strongest token of each context, against a capture of every context by itself."""

from __future__ import annotations

import numpy as np
import pytest

from hubel.tools.index import Index
from hubel.tools.index.strong_tokens import strong_tokens
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.tools.index.conftest import Truth


@pytest.mark.parametrize("address", ["mlp.1.3", "mlp.1.3-"])
def test_the_strongest_tokens_are_those_of_a_naive_search(
    tiny: Subject, index: Index, truth: Truth, address: str
) -> None:
    unit = Unit.parse(address)
    sign = -1 if unit.side == "-" else 1
    signal = sign * truth.of(unit, "explore")
    threshold = max(0, np.nanquantile(signal, 0.9))
    strong = strong_tokens(tiny, index, unit, 0.1)
    peaks = np.nan_to_num(signal, nan=-np.inf)
    assert strong.context.tolist() == np.flatnonzero(peaks.max(axis=1) > threshold).tolist()
    assert strong.position.tolist() == peaks.argmax(axis=1)[strong.context].tolist()
    np.testing.assert_allclose(strong.activation, peaks.max(axis=1)[strong.context], atol=1e-5)
    column = tiny.shape.column(unit)
    import torch

    read = tiny.neurons_from(
        1,
        torch.from_numpy(strong.mlp_in)[None],
        torch.zeros((1, len(strong.mlp_in)), dtype=torch.long),
        [column],
    )
    np.testing.assert_allclose(sign * read[0, :, 0].numpy(), strong.activation, atol=1e-5)
    text = strong.around(0, index.vocabulary, 3, 1)
    assert f"[{index.vocabulary[strong.token[0]].strip()}]" in text
