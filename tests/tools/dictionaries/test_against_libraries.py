"""SAELens' and sparsify's own classes agree with ours on random weights; needs the extra `oracles`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.read import read_dictionary
from tests.support.dictionary_files import (
    FileCase,
    inputs,
    saelens_cases,
    sparsify_cases,
    write_saelens,
    write_sparsify,
)

WHY = "is not installed; pip install hubel[oracles]"
pytestmark = pytest.mark.filterwarnings("ignore")


def saelens_answer(folder: Path, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Activations and reconstruction by SAELens' class for the folder's architecture."""
    sae_lens = pytest.importorskip("sae_lens", reason=f"sae-lens {WHY}")
    sae = sae_lens.SAE.load_from_disk(folder)
    with torch.no_grad():
        activations = sae.encode(vectors)
        return activations, sae(vectors)


def sparsify_answer(folder: Path, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Activations and reconstruction by sparsify's class."""
    sparsify = pytest.importorskip("sparsify", reason=f"eai-sparsify {WHY}")
    coder = sparsify.SparseCoder.load_from_disk(folder)
    with torch.no_grad():
        values, latents, _ = coder.encode(vectors)
        activations = torch.zeros(len(vectors), coder.num_latents).scatter(1, latents, values)
        return activations, coder(vectors, vectors).sae_out


@pytest.mark.parametrize("case", list(saelens_cases()), ids=lambda case: case.name)
def test_saelens_computes_the_same(case: FileCase, tmp_path: Path) -> None:
    folder = write_saelens(tmp_path, case)
    check(read_dictionary(folder, "a"), saelens_answer(folder, inputs()))


@pytest.mark.parametrize("case", list(sparsify_cases()), ids=lambda case: case.name)
def test_sparsify_computes_the_same(case: FileCase, tmp_path: Path) -> None:
    folder = write_sparsify(tmp_path, case)
    check(read_dictionary(folder, "a"), sparsify_answer(folder, inputs()))


def check(dictionary: Dictionary, answer: tuple[Tensor, Tensor]) -> None:
    activations = dictionary.encode(inputs())
    torch.testing.assert_close(activations, answer[0], atol=1e-5, rtol=1e-5)
    assert (answer[0] > 0).any()
    torch.testing.assert_close(
        dictionary.decode(activations, inputs()), answer[1], atol=1e-5, rtol=1e-5
    )
