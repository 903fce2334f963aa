"""Names of dictionaries on a hub and in SAELens' registry, against a hub on loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hubel.tools.dictionaries import hub as hub_module
from hubel.tools.dictionaries.read import read_dictionary
from hubel.tools.dictionaries.registry import find_release, model_key, releases_for
from hubel.tools.errors import CorruptError, UnavailableError, UsageError
from hubel.tools.subject.address import Site
from tests.support.dictionary_files import (
    inputs,
    saelens_case,
    sparsify_case,
    write_saelens,
    write_sparsify,
)
from tests.support.stand_in_hub import StandInHub, stand_in_hub

REGISTRY = """\
gpt2-small-res-jb:
  repo_id: jbloom/GPT2-Small-SAEs-Reformatted
  model: gpt2-small
  conversion_func: null
  config_overrides:
    model_from_pretrained_kwargs:
      center_writing_weights: true
  saes:
  - id: blocks.8.hook_resid_pre
    path: blocks.8.hook_resid_pre
    norm_scaling_factor: 2.0
  - id: blocks.9.hook_resid_pre
    path: blocks.9.hook_resid_pre
odd-release:
  repo_id: someone/odd
  model: gpt2-small
  conversion_func: temporal
  saes: []
broken-release:
  repo_id: someone/broken
  model: llama
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """A hub with two repositories, an empty cache, and no registry."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub_module, "registry_path", lambda: None)
    case = saelens_case("standard", "blocks.8.hook_resid_pre")
    for number in (8, 9):
        folder = (
            tmp_path
            / "hub"
            / "jbloom"
            / "GPT2-Small-SAEs-Reformatted"
            / f"blocks.{number}.hook_resid_pre"
        )
        write_saelens(folder, case)
        (folder / "pictures.png").write_bytes(b"large")
    write_sparsify(
        tmp_path / "hub" / "EleutherAI" / "sae-tiny-64x", sparsify_case(), "layers.15.mlp"
    )
    with stand_in_hub(tmp_path / "hub") as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


@pytest.fixture
def registry(hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry file next to the hub."""
    path = tmp_path / "pretrained_saes.yaml"
    path.write_text(REGISTRY)
    monkeypatch.setattr(hub_module, "registry_path", lambda: path)
    return path


def test_a_folder_of_a_repository(hub: StandInHub) -> None:
    dictionary = read_dictionary("EleutherAI/sae-tiny-64x/layers.15.mlp", "a")
    assert dictionary.reads == Site("mlp_out", 15)
    assert dictionary.source == "EleutherAI/sae-tiny-64x/layers.15.mlp"
    assert sorted(hub.fetched) == ["layers.15.mlp/cfg.json", "layers.15.mlp/sae.safetensors"]
    read_dictionary("EleutherAI/sae-tiny-64x/layers.15.mlp", "a")
    assert len(hub.fetched) == 2  # the second time from the cache


def test_a_name_of_the_registry(hub: StandInHub, registry: Path, tmp_path: Path) -> None:
    dictionary = read_dictionary("gpt2-small-res-jb/blocks.8.hook_resid_pre", "a")
    assert (dictionary.reads, dictionary.input_form) == (Site("stream", 7), "centred")
    assert all(file.startswith("blocks.8.") and not file.endswith("png") for file in hub.fetched)
    files = tmp_path / "hub" / "jbloom" / "GPT2-Small-SAEs-Reformatted" / "blocks.8.hook_resid_pre"
    plain = read_dictionary(files, "a")
    torch.testing.assert_close(dictionary.encode(inputs()), plain.encode(inputs() * 2))
    torch.testing.assert_close(
        dictionary.reconstruct(inputs()), plain.reconstruct(inputs() * 2) / 2
    )


def test_without_the_registry_its_names_say_what_is_missing(hub: StandInHub) -> None:
    with pytest.raises(UsageError, match="need `pip install sae-lens`"):
        read_dictionary("gpt2-small-res-jb/blocks.8.hook_resid_pre", "a")


def test_names_that_lead_nowhere(hub: StandInHub, registry: Path) -> None:
    with pytest.raises(
        UsageError, match=r"'gpt2-small-res-jb' has no dictionary 'blocks\.3'; it has blocks\.8"
    ):
        read_dictionary("gpt2-small-res-jb/blocks.3", "a")
    with pytest.raises(
        UsageError, match="form 'temporal', which is not read; read are Gemma Scope"
    ):
        read_dictionary("odd-release/x", "a")
    with pytest.raises(CorruptError, match=r"entry 'broken-release' .* is not SAELens'"):
        find_release("broken-release/x", registry)
    with pytest.raises(UsageError, match=r"has no dictionary 'layers\.3'"):
        read_dictionary("EleutherAI/sae-tiny-64x/layers.3", "a")
    with pytest.raises(
        UsageError, match=r"holds 1 dictionaries|has no dictionary|no dictionary of a known"
    ):
        read_dictionary("EleutherAI/sae-tiny-64x", "a")
    for name in ("nothing", "/nowhere/at/all", "a/../b", "two words/b"):
        with pytest.raises(UsageError, match=r"no folder or file|no dictionary"):
            read_dictionary(name, "a")


def test_an_unreachable_hub_is_one_line(hub: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(UnavailableError, match="cannot be reached: check the network") as caught:
        read_dictionary("someone/some-sae/layers.3", "a")
    assert "\n" not in str(caught.value)


def test_releases_are_found_by_the_models_name(registry: Path) -> None:
    assert [each.name for each in releases_for("openai-community/gpt2", registry)] == [
        "jbloom/GPT2-Small-SAEs-Reformatted",
        "gpt2-small-res-jb",
    ]
    (ours,) = releases_for("smollm2-135m", None)
    assert ours.name == "EleutherAI/sae-SmolLM2-135M-64x"
    assert not list(releases_for("a-model-of-mine", registry))
    assert model_key("HuggingFaceTB/SmolLM2-135M-Instruct") == model_key("smollm2-135m")
