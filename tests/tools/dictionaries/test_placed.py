"""Whether a dictionary fits its place: shapes, what its input looks like, and what it explains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hubel.tools.dictionaries.activations import Gated, Relu
from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.placed import (
    check_dictionary,
    misfit,
    placed,
    require_fit,
    vectors_at,
)
from hubel.tools.dictionaries.read import read_dictionary
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Site
from hubel.tools.subject.subject import Subject
from tests.support.dictionary_files import FileCase, Numbers, sparsify_case, write_sparsify
from tests.support.tiny import D_MODEL, tiny_subject

TEXTS = [
    "the cat sat on the river bank on Monday",
    "a red dog is not in the city 1999",
    "to the blue bank and the year on Friday said told",
] * 4


@pytest.fixture(scope="module")
def tiny() -> Subject:
    return tiny_subject()


def principal(subject: Subject, place: Site, n: int = 6) -> Dictionary:
    """Both signs of the strongest principal components at a place: explains most of it, and not others."""
    vectors = vectors_at(subject, [place], TEXTS, 400)[place]
    mean = vectors.mean(dim=0)
    components = torch.linalg.svd(vectors - mean, full_matrices=False).Vh[:n]
    rows = torch.cat([components, -components])
    return Dictionary(
        "pca", place, place, rows.T.contiguous(), torch.zeros(2 * n), rows, mean, Relu()
    )


def test_a_dictionary_of_its_place_fits(tiny: Subject) -> None:
    place = Site("stream", 1)
    report = require_fit(tiny, principal(tiny, place), TEXTS)
    vectors = vectors_at(tiny, [place], TEXTS, 400)[place]
    rest = vectors - principal(tiny, place).reconstruct(vectors)
    by_hand = 1 - float((rest**2).sum() / ((vectors - vectors.mean(dim=0)) ** 2).sum())
    assert report.own.explained == pytest.approx(by_hand, abs=1e-4)
    assert report.own.explained > 0.5 > report.shuffled
    assert report.l0 == pytest.approx(6, abs=0.5)  # one sign of each


def test_a_modules_own_output_is_refused_where_a_norm_follows(tmp_path: Path) -> None:
    """Gemma 2 normalises what its MLP puts out; for it `layers.1.mlp` is not what is added."""
    case = sparsify_case()
    wide = FileCase(case.name, case.config | {"d_in": D_MODEL, "num_latents": 12}, tensors_of(12))
    read = {
        name: read_dictionary(write_sparsify(tmp_path, wide, name), "a")
        for name in ("layers.1.mlp", "layers.1.self_attn", "layers.1")
    }
    gemma, llama = tiny_subject("gemma2"), tiny_subject("llama")
    for name in ("layers.1.mlp", "layers.1.self_attn"):
        with pytest.raises(
            UsageError, match=r"normalises it before .* give --at (mlp|attn)_out\.1"
        ):
            placed(gemma, read[name])
        placed(llama, read[name])
    placed(gemma, read["layers.1"])
    placed(gemma, read_dictionary(tmp_path / "layers.1.mlp", "a", reads=Site("mlp_out", 1)))


def tensors_of(n_latents: int) -> dict[str, Tensor]:
    """sparsify's tensors for the tiny subject's width."""
    draw = Numbers(1)
    return {
        "encoder.weight": draw(n_latents, D_MODEL), "encoder.bias": draw(n_latents),
        "W_dec": draw(n_latents, D_MODEL), "b_dec": draw(D_MODEL),
    }  # fmt: skip


def test_one_of_another_layer_is_refused_and_the_message_says_which(tiny: Subject) -> None:
    moved = replace(
        principal(tiny, Site("stream", 0)), reads=Site("stream", 2), writes=Site("stream", 2)
    )
    with pytest.raises(
        UsageError,
        match=r"does not fit stream\.2 .* stream\.0 would fit, with 0\.\d\d: --at stream\.0",
    ):
        require_fit(tiny, moved, TEXTS)


def test_a_random_dictionary_or_a_permuted_one_is_refused(tiny: Subject) -> None:
    own = principal(tiny, Site("stream", 1), 8)
    permuted = replace(
        own, decoder=own.decoder[torch.randperm(16, generator=torch.Generator().manual_seed(3))]
    )
    report = check_dictionary(tiny, permuted, TEXTS)
    assert report.own.explained < 0.3
    noise = torch.randn(D_MODEL, 16, generator=torch.Generator().manual_seed(1))
    random = replace(
        own,
        encoder=noise,
        decoder=torch.randn(16, D_MODEL, generator=torch.Generator().manual_seed(2)) * 9,
    )
    assert "another model" in misfit(tiny, random, check_dictionary(tiny, random, TEXTS))


def test_shapes_that_do_not_fit_are_one_line(tiny: Subject) -> None:
    own = replace(principal(tiny, Site("stream", 1)), model="gpt2-small")
    far = replace(own, reads=Site("stream", 11), writes=Site("stream", 11))
    with pytest.raises(
        UsageError, match=r"is of stream\.11, but tiny-llama has 3 layers.*'gpt2-small'"
    ):
        placed(tiny, far)
    mlp = replace(own, reads=Site("mlp", 1), writes=Site("mlp", 1))
    with pytest.raises(
        UsageError, match=r"vectors of 16 numbers, but mlp\.1 .* has 24; of that width here are"
    ):
        placed(tiny, mlp)
    wide = replace(own, encoder=torch.zeros(40, 12), decoder=torch.zeros(12, 40))
    with pytest.raises(UsageError, match=r"no place of it has that width; is it of another model"):
        placed(tiny, wide)
    with pytest.raises(UsageError, match=r"5 tokens after the first.*give at least 64"):
        check_dictionary(tiny, own, ["the cat sat"])


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma"])
@pytest.mark.parametrize("kind", ["autoencoder", "uncentred", "gated", "transcoder", "skip"])
def test_the_norms_weight_is_folded_in(family: str, kind: str) -> None:
    """The latents of n computed from x = n w + b, for every form that n enters."""
    subject = tiny_subject(family)
    norm: Any = subject.parts.layers[1].mlp_norm
    weight = norm.weight + 1 if family == "gemma" else norm.weight
    bias = norm.bias if family == "gpt2" else torch.zeros(D_MODEL)
    torch.manual_seed(0)
    given = drawn(kind)
    n = torch.randn(20, D_MODEL)
    x = n * weight + bias
    folded = placed(subject, given)
    assert folded.input_form == "plain"
    torch.testing.assert_close(folded.encode(x), given.encode(n), atol=1e-4, rtol=1e-4)
    expected = given.reconstruct(n)
    if not given.is_transcoder:
        expected = expected * weight + bias
    torch.testing.assert_close(folded.reconstruct(x), expected, atol=1e-3, rtol=1e-4)


def drawn(kind: str) -> Dictionary:
    """A random dictionary of the MLP's input before the norm's weight."""
    place, size = Site("mlp_in", 1), 30
    activation = Relu()
    if kind == "gated":
        activation = Gated(torch.randn(size), torch.randn(size), torch.randn(size) / 3)
    transcodes = kind in ("transcoder", "skip")
    return Dictionary(
        "a",
        place,
        Site("mlp_out", 1) if transcodes else place,
        torch.randn(D_MODEL, size),
        torch.zeros(size) if kind == "gated" else torch.randn(size),
        torch.randn(size, D_MODEL),
        torch.randn(D_MODEL),
        activation,
        subtracts_bias=kind == "autoencoder",
        skip=torch.randn(D_MODEL, D_MODEL) if kind == "skip" else None,
        input_form="before_norm_weight",
    )


def test_centring_is_folded_in(tiny: Subject) -> None:
    given = replace(drawn("autoencoder"), reads=Site("stream", 1), writes=Site("stream", 1))
    given = replace(given, input_form="centred")
    x = torch.randn(20, D_MODEL) + 3
    centred: Tensor = x - x.mean(dim=-1, keepdim=True)
    folded = placed(tiny, given)
    torch.testing.assert_close(folded.encode(x), given.encode(centred), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        folded.reconstruct(x), given.reconstruct(centred), atol=1e-3, rtol=1e-4
    )
