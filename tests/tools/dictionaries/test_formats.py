"""Dictionaries of SAELens and sparsify compute what their own classes do, and survive being written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hubel.tools.dictionaries.dictionary import Dictionary
from hubel.tools.dictionaries.read import read_dictionary
from hubel.tools.dictionaries.write import write_dictionary
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Site
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

ANSWERS = json.loads((Path(__file__).parent / "reference_vectors.json").read_text("utf-8"))
SAELENS, SPARSIFY = list(saelens_cases()), list(sparsify_cases())


def same(left: Dictionary, right: Dictionary) -> None:
    vectors = inputs()
    torch.testing.assert_close(left.encode(vectors), right.encode(vectors), atol=1e-5, rtol=1e-5)
    reconstructed = left.reconstruct(vectors), right.reconstruct(vectors)
    torch.testing.assert_close(*reconstructed, atol=1e-5, rtol=1e-5)


def answers(dictionary: Dictionary, name: str) -> None:
    vectors, expected = inputs(2), ANSWERS[name]
    activations = dictionary.encode(vectors)
    reconstruction = dictionary.decode(activations, vectors)
    for ours, key in ((activations, "activations"), (reconstruction, "reconstruction")):
        torch.testing.assert_close(ours, torch.tensor(expected[key]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", SAELENS, ids=lambda case: case.name)
def test_saelens_gives_its_own_answers_and_survives(case: FileCase, tmp_path: Path) -> None:
    dictionary = read_dictionary(write_saelens(tmp_path / "a", case), "a")
    answers(dictionary, f"saelens {case.name}")
    again = read_dictionary(write_dictionary(dictionary, tmp_path / "b", "saelens"), "a")
    same(dictionary, again)
    assert (again.reads, again.writes, again.model) == (dictionary.reads, dictionary.writes, "tiny")


@pytest.mark.parametrize("case", SPARSIFY, ids=lambda case: case.name)
def test_sparsify_gives_its_own_answers_and_survives(case: FileCase, tmp_path: Path) -> None:
    dictionary = read_dictionary(write_sparsify(tmp_path / "a", case), "a")
    answers(dictionary, f"sparsify {case.name}")
    again = read_dictionary(write_dictionary(dictionary, tmp_path / "b", "sparsify"), "a")
    same(dictionary, again)
    assert (again.reads, again.writes) == (dictionary.reads, dictionary.writes)


def test_each_latent_alone_is_what_it_is_among_all(tmp_path: Path) -> None:
    for case in SAELENS:
        dictionary = read_dictionary(write_saelens(tmp_path / case.name, case), "a")
        chosen = dictionary.encode(inputs(), [7, 2])
        torch.testing.assert_close(chosen, dictionary.encode(inputs())[:, [7, 2]])


def test_sparsify_means_the_output_of_the_module(tmp_path: Path) -> None:
    places = {
        "layers.1.mlp": Site("mlp_out", 1),
        "layers.1": Site("stream", 1),
        "h.0.attn": Site("attn_out", 0),
        "gpt_neox.layers.2.attention": Site("attn_out", 2),
        "embed_tokens": Site("stream", -1),
    }
    for hookpoint, place in places.items():
        folder = write_sparsify(tmp_path, sparsify_case(), hookpoint)
        assert read_dictionary(folder, "a").reads == place
    transcoder = read_dictionary(
        write_sparsify(tmp_path / "t", sparsify_case(transcode=True), "layers.1.mlp"), "a"
    )
    assert (transcoder.reads, transcoder.writes) == (Site("mlp_in", 1), Site("mlp_out", 1))


@pytest.mark.parametrize(
    ("hook", "place"),
    [
        ("blocks.0.hook_resid_pre", Site("stream", -1)),
        ("blocks.2.hook_resid_pre", Site("stream", 1)),
        ("blocks.2.hook_resid_mid", Site("mid", 2)),
        ("blocks.2.hook_mlp_in", Site("mid", 2)),
        ("blocks.2.mlp.hook_post", Site("mlp", 2)),
        ("blocks.2.attn.hook_z", Site("z", 2)),
        ("blocks.2.ln2.hook_normalized", Site("mlp_in", 2)),
        ("model.layers.2.mlp", Site("mlp_out", 2)),
    ],
)
def test_hooks_are_places(hook: str, place: Site, tmp_path: Path) -> None:
    dictionary = read_dictionary(write_saelens(tmp_path, saelens_case("standard", hook)), "a")
    assert dictionary.reads == dictionary.writes == place
    is_before_weight = dictionary.input_form == "before_norm_weight"
    assert is_before_weight == ("normalized" in hook)


def test_what_a_form_cannot_hold_is_refused(tmp_path: Path) -> None:
    def read(case: FileCase) -> Dictionary:
        return read_dictionary(write_saelens(tmp_path / case.name, case), "a")

    refused = {
        "sparsify": [
            (read(saelens_case("jumprelu")), "it has no JumpRelu"),
            (read(saelens_case("topk", normalize_activations="layer_norm")), "does not normalise"),
            (read(saelens_case("topk", "blocks.1.hook_resid_mid", apply_b_dec_to_input=False)), "mid.1"),
        ],
        "saelens": [
            (
                read_dictionary(write_sparsify(tmp_path, sparsify_case(transcode=True)), "a"),
                "no transcoder with TopKRelu",
            ),
        ],
    }  # fmt: skip
    for form, cases in refused.items():
        for dictionary, reason in cases:
            with pytest.raises(UsageError, match=reason):
                write_dictionary(dictionary, tmp_path / "out", form)
    with pytest.raises(UsageError, match="known are saelens, sparsify"):
        write_dictionary(read(saelens_case("standard")), tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_not_overwritten(tmp_path: Path) -> None:
    dictionary = read_dictionary(write_saelens(tmp_path / "a", saelens_case("standard")), "a")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("five years")
    with pytest.raises(UsageError, match=r"holds 'thesis.tex' already"):
        write_dictionary(dictionary, tmp_path / "out", "saelens")
    assert (tmp_path / "out" / "thesis.tex").exists()
