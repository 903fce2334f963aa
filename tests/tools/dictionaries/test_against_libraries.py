"""SAELens' and sparsify's own classes agree with ours on random weights; needs the extra `dictionary-oracles`.

`reference_vectors.json` keeps their answers for where they are not installed; it was written by
`python -m tests.tools.dictionaries.test_against_libraries`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.read import read_dictionary
from hubel.tools.dictionaries.write import write_dictionary
from tests.support.dictionary_files import (
    FileCase,
    inputs,
    saelens_case,
    saelens_cases,
    sparsify_case,
    sparsify_cases,
    write_saelens,
    write_sparsify,
)

VECTORS = Path(__file__).parent / "reference_vectors.json"
WHY = "is not installed; pip install hubel[dictionary-oracles]"
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


@pytest.mark.parametrize("case", list(saelens_cases()), ids=lambda case: case.name)
def test_saelens_loads_what_we_write(case: FileCase, tmp_path: Path) -> None:
    dictionary = read_dictionary(write_saelens(tmp_path / "given", case), "a")
    written = write_dictionary(dictionary, tmp_path / "written", "saelens")
    check(dictionary, saelens_answer(written, inputs()))


@pytest.mark.parametrize("case", list(sparsify_cases()), ids=lambda case: case.name)
def test_sparsify_loads_what_we_write(case: FileCase, tmp_path: Path) -> None:
    dictionary = read_dictionary(write_sparsify(tmp_path / "given", case), "a")
    written = write_dictionary(dictionary, tmp_path / "written", "sparsify")
    check(dictionary, sparsify_answer(written, inputs()))


@pytest.mark.parametrize("architecture", ["standard", "topk"])
@pytest.mark.parametrize("subtracts", [True, False])
def test_sparsify_loads_what_came_from_saelens(
    architecture: str, subtracts: bool, tmp_path: Path
) -> None:
    case = saelens_case(architecture, apply_b_dec_to_input=subtracts)
    dictionary = read_dictionary(write_saelens(tmp_path / "given", case), "a")
    written = write_dictionary(dictionary, tmp_path / "written", "sparsify")
    assert written.name == "layers.1"
    check(dictionary, sparsify_answer(written, inputs()))


def test_saelens_loads_what_came_from_sparsify(tmp_path: Path) -> None:
    dictionary = read_dictionary(write_sparsify(tmp_path / "given", sparsify_case()), "a")
    check(
        dictionary,
        saelens_answer(write_dictionary(dictionary, tmp_path / "out", "saelens"), inputs()),
    )


def write_vectors() -> None:
    """Keep the libraries' answers."""
    answers: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in saelens_cases():
            answer = saelens_answer(write_saelens(Path(folder) / case.name, case), inputs(2))
            answers[f"saelens {case.name}"] = as_lists(answer)
        for case in sparsify_cases():
            answer = sparsify_answer(write_sparsify(Path(folder) / case.name, case), inputs(2))
            answers[f"sparsify {case.name}"] = as_lists(answer)
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(answer)}" for name, answer in answers.items()
    )
    VECTORS.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


def as_lists(answer: tuple[Tensor, Tensor]) -> dict[str, object]:
    """Activations and reconstruction to six decimals."""
    rounded = [[[round(x, 6) for x in row] for row in values.tolist()] for values in answer]
    return dict(zip(("activations", "reconstruction"), rounded, strict=True))


if __name__ == "__main__":
    write_vectors()
