"""Files that other libraries' classes wrote, and what these classes made of them, agree with ours.

SAELens before 6.0, dictionary_learning, circuit-tracer, and Gemma Scope through SAELens and
circuit-tracer. The vectors are kept, so that the suite needs none of them. Where one is installed its
classes are asked again; `python -m tests.tools.dictionaries.test_library_vectors` keeps their answers.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hubel.tools.dictionaries.read import read_dictionary
from tests.support.library_files import (
    LATENTS,
    WIDTH,
    K,
    LibraryCase,
    fill,
    load_cases,
    read_files,
    save_cases,
    vectors,
    write_case,
)

CASES = load_cases()
pytestmark = pytest.mark.filterwarnings("ignore")
Answers = tuple[str, Tensor, Tensor]
"""The path to read below the folder, activations, and reconstruction."""
Maker = Callable[[Path], Answers]


def agree(folder: Path, case: LibraryCase) -> None:
    """Our reader computes what the library did."""
    dictionary = read_dictionary(write_case(folder, case), "a")
    activations = dictionary.encode(vectors())
    torch.testing.assert_close(activations, case.activations, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        dictionary.decode(activations, vectors()), case.reconstruction, atol=1e-5, rtol=1e-5
    )


def test_every_library_is_among_the_kept_vectors() -> None:
    libraries = {" ".join(name.split()[:2]) for name in CASES}
    assert libraries == {
        "sae-lens 3.22.2", "sae-lens 4.4.5", "sae-lens 5.11.0", "sae-lens 6.54.12",
        "dictionary-learning 0.1.0", "circuit-tracer 0.5.0",
    }  # fmt: skip
    assert all(bool((case.activations > 0).any()) for case in CASES.values())


@pytest.mark.parametrize("name", CASES)
def test_the_kept_answers_are_ours(name: str, tmp_path: Path) -> None:
    agree(tmp_path, CASES[name])


def test_the_places_of_their_files(tmp_path: Path) -> None:
    places = {
        "sae-lens 3.22.2 standard": "mid.1 mid.1",
        "sae-lens 5.11.0 hook_z": "z.1 z.1",
        "dictionary-learning 0.1.0 BatchTopKSAE": "stream.2 stream.2",
        "circuit-tracer 0.5.0 jumprelu": "mlp_in.0 mlp_out.0",
        "circuit-tracer 0.5.0 cross-layer 0": "mid.0 mlp_out.0",
        "circuit-tracer 0.5.0 gemma-scope": "mlp_in.3 mlp_out.3",
        "sae-lens 6.54.12 gemma-scope res": "stream.3 stream.3",
        "sae-lens 6.54.12 gemma-scope att": "z.3 z.3",
    }
    for number, (name, expected) in enumerate(places.items()):
        dictionary = read_dictionary(write_case(tmp_path / str(number), CASES[name]), "a")
        assert f"{dictionary.reads} {dictionary.writes}" == expected


@pytest.mark.parametrize("library", ["sae_lens", "dictionary_learning", "circuit_tracer"])
def test_the_libraries_give_these_answers(library: str, tmp_path: Path) -> None:
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed; see docs/dictionaries.md, 'Formats'")
    made = dict(made_cases(library, tmp_path))
    assert made
    for number, (name, case) in enumerate(made.items()):
        agree(tmp_path / f"read {number}", case)
        kept = CASES.get(name)
        if kept is None:  # another version than that of the vectors
            continue
        assert sorted(kept.files) == sorted(case.files)
        torch.testing.assert_close(kept.activations, case.activations, atol=1e-5, rtol=1e-5)


# ----------------------------------------------------------------- the libraries' classes


def made_cases(library: str, folder: Path) -> Iterator[tuple[str, LibraryCase]]:
    """What an installed library writes and answers."""
    distribution = library.replace("_", "-")
    try:
        named = f"{distribution} {version(distribution)}"
    except PackageNotFoundError:
        return
    for number, (name, make) in enumerate(MAKERS[library]()):
        place = folder / f"{library} {number}"
        place.mkdir()
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            source, activations, reconstruction = make(place)
        yield (
            f"{named} {name}",
            LibraryCase(read_files(place), source, activations, reconstruction),
        )


def imported(module: str) -> Any:
    """A module of a library that this project does not require."""
    return import_module(module)


def saelens_makers() -> Iterator[tuple[str, Maker]]:
    if int(version("sae-lens").split(".")[0]) >= 6:
        yield from ((f"gemma-scope {kind}", gemma_scope(kind)) for kind in ("res", "mlp", "att"))
        return
    for architecture in ("standard", "gated", "jumprelu"):
        yield architecture, old_saelens(architecture=architecture)
    yield "layer_norm", old_saelens(normalize_activations="layer_norm")
    yield "constant norm", old_saelens(normalize_activations="constant_norm_rescale")
    yield "no b_dec", old_saelens(apply_b_dec_to_input=False)
    yield "scaled", old_saelens(finetuning_scaling_factor=True)
    yield (
        "topk",
        old_saelens(activation_fn_str="topk", activation_fn_kwargs={"k": K}),
    )
    yield "hook_z", old_saelens(hook_name="blocks.1.attn.hook_z")


def old_saelens(**settings: Any) -> Maker:
    """A dictionary of SAELens 3 to 5."""

    def make(folder: Path) -> Answers:
        sae_lens = imported("sae_lens")

        config = {
            "architecture": "standard", "d_in": WIDTH, "d_sae": LATENTS, "activation_fn_str": "relu",
            "apply_b_dec_to_input": True, "finetuning_scaling_factor": False, "context_size": 64,
            "model_name": "tiny", "hook_name": "blocks.1.hook_resid_mid", "hook_layer": 1,
            "hook_head_index": None, "prepend_bos": True, "dataset_path": "",
            "dataset_trust_remote_code": False, "normalize_activations": "none", "dtype": "float32",
            "device": "cpu", "sae_lens_training_version": None,
        }  # fmt: skip
        sae = sae_lens.SAE(sae_lens.SAEConfig(**config | settings))
        fill(sae)
        sae.save_model(str(folder / "sae"))
        given = vectors()
        if sae.hook_z_reshaping_mode:  # heads by width of a head
            given = given.reshape(len(given), 2, WIDTH // 2)
        activations = sae.encode(given)
        return "sae", activations, sae.decode(activations).reshape(len(given), WIDTH)

    return make


def gemma_scope(kind: str) -> Maker:
    """Gemma Scope's arrays, as the hub has them, through SAELens' loader."""

    def make(folder: Path) -> Answers:
        loaders = imported("sae_lens.loading.pretrained_sae_loaders")

        inside = f"gemma-scope-2b-pt-{kind}/layer_3/width_16k/average_l0_59"
        path = gemma_arrays(folder / inside)
        whole = loaders.hf_hub_download
        loaders.hf_hub_download = lambda **_: str(path)  # no hub is asked
        try:
            repository, below = inside.split("/", 1)
            config, tensors, _ = loaders.gemma_2_sae_huggingface_loader(
                f"google/{repository}", below, cfg_overrides={"d_in": WIDTH, "d_sae": LATENTS}
            )
        finally:
            loaders.hf_hub_download = whole
        config = loaders.handle_config_defaulting(config) | {"device": "cpu"}
        sae = imported("sae_lens").SAE.from_dict(config | {"reshape_activations": "none"})
        sae.load_state_dict(tensors)
        activations = sae.encode(vectors())
        return inside, activations, sae.decode(activations)

    return make


def gemma_arrays(folder: Path) -> Path:
    """A `params.npz`; no library writes these."""
    arrays = torch.nn.ParameterDict(
        {
            "W_enc": torch.zeros(WIDTH, LATENTS), "W_dec": torch.zeros(LATENTS, WIDTH),
            "b_enc": torch.zeros(LATENTS), "b_dec": torch.zeros(WIDTH), "threshold": torch.zeros(LATENTS),
        }
    )  # fmt: skip
    fill(arrays)
    folder.mkdir(parents=True)
    kept: dict[str, Any] = {name: each.detach().numpy() for name, each in arrays.items()}
    np.savez(folder / "params.npz", **kept)
    return folder / "params.npz"


def learning_makers() -> Iterator[tuple[str, Maker]]:
    for kind in ("AutoEncoder", "AutoEncoderNew", "GatedAutoEncoder", "JumpReluAutoEncoder"):
        yield kind, dictionary_learning(kind, "")
    yield "AutoEncoderTopK", dictionary_learning("AutoEncoderTopK", "top_k", k=K)
    yield "BatchTopKSAE", dictionary_learning("BatchTopKSAE", "batch_top_k", k=K)
    yield (
        "MatryoshkaBatchTopKSAE",
        dictionary_learning(
            "MatryoshkaBatchTopKSAE", "matryoshka_batch_top_k", k=K, group_sizes=[2, LATENTS - 2]
        ),
    )


def dictionary_learning(kind: str, trainer: str, **arguments: Any) -> Maker:
    """A class of dictionary_learning, saved as its training saves it and loaded by its loader."""

    def make(folder: Path) -> Answers:
        module = f"trainers.{trainer}" if trainer else "dictionary"
        made = getattr(imported(f"dictionary_learning.{module}"), kind)
        coder = made(WIDTH, LATENTS, **arguments)
        fill(coder)
        torch.save(coder.state_dict(), folder / "ae.pt")
        stated = {
            "dict_class": kind,
            "layer": 2,
            "lm_name": "tiny",
            "submodule_name": "resid_post_layer_2",
        }
        stated |= {"k": K} if arguments else {}
        (folder / "config.json").write_text(json.dumps({"trainer": stated}))
        loaded, _ = imported("dictionary_learning.utils").load_dictionary(str(folder), "cpu")
        activations = loaded.encode(vectors())
        return "ae.pt", activations, loaded.decode(activations)

    return make


def tracer_makers() -> Iterator[tuple[str, Maker]]:
    yield "relu", transcoder_set(jumps=False, skips=False)
    yield "jumprelu", transcoder_set(jumps=True, skips=False)
    yield "skip", transcoder_set(jumps=True, skips=True)
    yield "cross-layer 0", cross_layer(0)
    yield "cross-layer 1", cross_layer(1)
    yield "gemma-scope", tracer_gemma_scope


SET = """\
model_name: tiny
model_kind: {kind}
feature_input_hook: {reads}
feature_output_hook: hook_mlp_out
scan: tiny
"""


def transcoder_set(*, jumps: bool, skips: bool) -> Maker:
    """A set of circuit-tracer with one layer."""

    def make(folder: Path) -> Answers:
        single = imported("circuit_tracer.transcoder.single_layer_transcoder")
        function = single.JumpReLU(torch.zeros(LATENTS)) if jumps else torch.nn.functional.relu
        made = single.SingleLayerTranscoder(
            WIDTH, LATENTS, function, 0, skip_connection=skips, dtype=torch.float32
        )
        fill(made)
        hooks = {"feature_input_hook": "mlp.hook_in", "feature_output_hook": "hook_mlp_out"}
        single.TranscoderSet({0: made}, **hooks).to_safetensors(str(folder))
        (folder / "config.yaml").write_text(SET.format(kind="transcoder_set", reads="mlp.hook_in"))
        path = folder / "layer_0.safetensors"
        loaded = single.load_transcoder_set({0: str(path)}, "tiny", **hooks)[0]
        activations = loaded.encode(vectors())
        return path.name, activations, loaded.decode(activations, vectors())

    return make


def cross_layer(layer: int) -> Maker:
    """A cross-layer transcoder of two layers; the reconstruction is one layer's own part."""

    def make(folder: Path) -> Answers:
        cross = imported("circuit_tracer.transcoder.cross_layer_transcoder")
        made = cross.CrossLayerTranscoder(
            2, LATENTS, WIDTH, "jump_relu", lazy_decoder=False, dtype=torch.float32
        )
        fill(made)
        made.to_safetensors(str(folder))
        (folder / "config.yaml").write_text(
            SET.format(kind="cross_layer_transcoder", reads="hook_resid_mid")
        )
        loaded = cross.load_clt(str(folder), dtype=torch.float32, lazy_decoder=False)
        given = vectors().expand(2, -1, -1)
        everywhere = loaded.encode(given)
        alone = torch.zeros_like(everywhere)
        alone[layer] = everywhere[layer]
        written = loaded.decode(alone, given)[layer]
        return f"W_enc_{layer}.safetensors", everywhere[layer], written

    return make


def tracer_gemma_scope(folder: Path) -> Answers:
    """Gemma Scope's transcoder through circuit-tracer's loader."""
    single = imported("circuit_tracer.transcoder.single_layer_transcoder")
    inside = "gemma-scope-2b-pt-transcoders/layer_3/width_16k/average_l0_54"
    loaded = single.load_gemma_scope_transcoder(str(gemma_arrays(folder / inside)), 3)
    activations = loaded.encode(vectors())
    return inside, activations, loaded.decode(activations, vectors())


MAKERS: dict[str, Callable[[], Iterator[tuple[str, Maker]]]] = {
    "sae_lens": saelens_makers,
    "dictionary_learning": learning_makers,
    "circuit_tracer": tracer_makers,
}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_in:
        for each in MAKERS:
            save_cases(dict(made_cases(each, Path(made_in))))
