"""SAELens' `cfg.json` in one shape, whichever version wrote it.

Version 6 keeps the model and hook under `metadata`; before, everything was flat and had other names
and defaults (`hook_point`, `activation_fn_str`, `normalize_activations` as true or false).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ..dictionary import Normalisation
from ..files import read_config, whole_number

NORMALISATIONS: dict[str, Normalisation] = {
    "none": "none",
    "layer_norm": "layer_norm",
    "constant_norm_rescale": "constant_norm",
}
FOLDED = ("expected_average_only_in", "covariance_whitening")
"""Normalisations that SAELens folds into the weights when training ends, and does not apply."""
_WHY_NOT = {
    "temporal": "its latents depend on earlier tokens, and a latent here is a function of one vector",
    "matching_pursuit": "its encoder is a search, and a latent here has a linear encoder",
    "abstopk": "its latents are negative as well, and a latent here never is",
}
_RENAMED = {
    "hook_point": "hook_name",
    "hook_point_head_index": "hook_head_index",
    "activation_fn_str": "activation_fn",
}


@dataclass(frozen=True)
class SaeLensConfig:
    """What a dictionary's `cfg.json` says.

    Attributes:
        width, size: of the input, and the number of latents; None where it leaves them to the tensors.
        scales: whether tensor `scaling_factor` multiplies the latents before decoding (before 6.0).
        hook: where it reads; `output_hook`: where a transcoder writes. "" where unknown.
        centred: whether the model's writes to the stream had mean 0 (`center_writing_weights`).
    """

    path: Path
    architecture: str
    width: int | None
    size: int | None
    output_width: int | None
    k: int | None
    subtracts_bias: bool
    normalisation: Normalisation
    rescales: bool
    scales: bool
    hook: str
    output_hook: str
    centred: bool
    model: str
    notes: tuple[str, ...]


def read_saelens_config(
    path: Path, architectures: Sequence[str], overrides: Mapping[str, Any] | None = None
) -> SaeLensConfig:
    """Read a `cfg.json`.

    Args:
        overrides: settings that replace the file's, as SAELens' registry has for some releases.

    Raises:
        UsageError: the architecture or normalisation is not known, or a number is not one.
        CorruptError: the file is cut short.
    """
    config = read_config(path)
    config |= overrides or {}
    metadata = config.get("metadata")
    if not isinstance(metadata, Mapping):
        config = _upgraded(config, path)
        metadata = config
    elif overrides:
        metadata = dict(metadata) | dict(overrides)
    architecture = config.get("architecture", "standard")
    if architecture not in architectures:
        why = f" ({_WHY_NOT[str(architecture)]})" if str(architecture) in _WHY_NOT else ""
        raise UsageError(
            f"'architecture' in {str(path)!r} is {architecture!r}{why}; known are "
            f"{', '.join(architectures)}"
        )
    if metadata.get("hook_head_index") is not None:
        raise UsageError(
            f"{str(path)!r} reads one attention head ({metadata['hook_head_index']!r}); only dictionaries "
            "of all heads side by side (hook_z) are supported"
        )
    normalisation, notes = _normalisation(config.get("normalize_activations", "none"), path)
    model_options = metadata.get("model_from_pretrained_kwargs") or {}
    return SaeLensConfig(
        path,
        architecture,
        width=_optional_number(config, "d_in", path),
        size=_optional_number(config, "d_sae", path),
        output_width=_optional_number(config, "d_out", path),
        k=whole_number(config, "k", path) if architecture == "topk" else None,
        subtracts_bias=bool(config.get("apply_b_dec_to_input", True)),
        normalisation=normalisation,
        rescales=architecture == "topk" and bool(config.get("rescale_acts_by_decoder_norm")),
        scales=bool(config.get("finetuning_scaling_factor")),
        hook=str(metadata.get("hook_name") or metadata.get("hf_hook_name") or ""),
        output_hook=str(metadata.get("hook_name_out") or metadata.get("hf_hook_name_out") or ""),
        centred=bool(model_options.get("center_writing_weights")),
        model=str(metadata.get("model_name") or ""),
        notes=notes,
    )


def _upgraded(flat: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A configuration from before 6.0 under today's names."""
    config = {_RENAMED.get(key, key): value for key, value in flat.items()}
    activation = config.get("activation_fn") or "relu"
    options = config.get("activation_fn_kwargs") or {}
    if activation == "topk":
        config |= {"architecture": "topk", "k": options.get("k")}
    elif activation != "relu":
        raise UsageError(
            f"the activation function in {str(path)!r} is {activation!r}; known are relu and topk"
        )
    normalises = config.get("normalize_activations")
    if normalises is None or isinstance(normalises, bool):
        config["normalize_activations"] = "expected_average_only_in" if normalises else "none"
    return config


def _normalisation(name: object, path: Path) -> tuple[Normalisation, tuple[str, ...]]:
    if name in FOLDED:
        note = f"{path.name} says {name}: taken as folded into the weights, as SAELens does"
        return "none", (note,)
    if name not in NORMALISATIONS:
        raise UsageError(
            f"'normalize_activations' in {str(path)!r} is {name!r}; known are "
            f"{', '.join([*NORMALISATIONS, *FOLDED])}"
        )
    return NORMALISATIONS[str(name)], ()


def _optional_number(config: Mapping[str, Any], key: str, path: Path) -> int | None:
    return whole_number(config, key, path) if config.get(key) is not None else None
