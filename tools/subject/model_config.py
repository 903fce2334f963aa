"""A subject's `config.json`, checked before anything is built from it.

1. It must be a JSON object of a known model type with the sizes that define the model. transformers
   fills in a missing size with that of some other model, which can fit the weights and be wrong.
2. Keys that name code to run, kernels to fetch, files to read or other forms of output are dropped
   and reported.
3. What is left becomes transformers' configuration, whose own checks of types apply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from .architectures import ARCHITECTURES, architecture_of
from .json_object import read_json_object
from .library_errors import reason
from .silence_transformers import silence

CONFIG = "config.json"
MAX_BYTES = 1 << 22
"""Of config.json; the longest have some thousand names of classes."""
MAX_SIZE = 2**31 - 1
_SIZES = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "vocab_size",
    "max_position_embeddings",
)
_OPTIONAL_SIZES = ("num_key_value_heads", "head_dim", "n_inner", "sliding_window")
_DROPPED_AND_REPORTED = {
    "auto_map": "custom code (auto_map), which is never run",
    "attn_implementation": "an attention implementation, which is never fetched",
    "_attn_implementation": "an attention implementation, which is never fetched",
    "_attn_implementation_internal": "an attention implementation, which is never fetched",
    "experts_implementation": "an implementation of experts, which is never fetched",
    "_experts_implementation": "an implementation of experts, which is never fetched",
    "use_kernels": "kernels, which are never fetched",
    "kernel_config": "kernels, which are never fetched",
    "transformers_weights": "a file of weights (transformers_weights), which is not used",
    "fusion_config": "a fusion of modules, which is not done",
    "distributed_config": "a distribution over machines, which is not done",
}
_OTHER_KINDS = ("is_encoder_decoder", "use_bidirectional_attention", "add_cross_attention")
_DROPPED = (
    "dtype",
    "torch_dtype",
    "return_dict",
    "use_return_dict",
    "output_attentions",
    "output_hidden_states",
    "id2label",
    "label2id",
    "num_labels",
    "problem_type",
    "name_or_path",
    "_name_or_path",
    "_commit_hash",
)
"""How outputs look, which hubel decides, and labels and names, which it does not need."""


class CheckedConfig(NamedTuple):
    """transformers' configuration, and a line on each thing in the file that was not followed."""

    config: Any
    notes: list[str]


def read_config(folder: Path, *, quantised: bool = False) -> CheckedConfig:
    """Read a folder's configuration; nothing of the weights is read.

    Args:
        quantised: whether the weights may be codes; the configuration then says which.

    Raises:
        UsageError: it is missing, is not JSON, or a key is missing or wrong; the message names it.
    """
    path = folder / CONFIG
    if not path.exists():
        raise UsageError(
            f"no {CONFIG} in {str(folder)!r}; give a model's folder, "
            "with config.json, tokenizer.json and *.safetensors"
        )
    content = _read_content(path)
    if (method := _quantisation(content).get("quant_method")) and not quantised:
        raise UsageError(quantised_message(folder, str(method)))
    _check_kind(path, content)
    model_type: str = content["model_type"]
    try:
        architecture_of(model_type)
    except UsageError as error:
        if content.get("auto_map"):
            raise UsageError(f"{error}; its own code (auto_map) is never run") from error
        raise
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    try:
        config_class: Any = CONFIG_MAPPING[model_type]
    except KeyError as error:
        raise UsageError(
            f"the installed transformers has no configuration of type {model_type!r}; update it"
        ) from error
    unmapped = {"intermediate_size": "hidden_dim"} if model_type == "distilbert" else {}
    _check_sizes(path, content, config_class.attribute_map | unmapped)
    _check_functions(path, content)
    named = [what for key, what in _DROPPED_AND_REPORTED.items() if content.get(key)]
    notes = [f"{CONFIG} of {folder.name!r} names {what}" for what in dict.fromkeys(named)]
    kept = {
        k: v for k, v in content.items() if k not in _DROPPED_AND_REPORTED and k not in _DROPPED
    }
    try:
        with silence():
            return CheckedConfig(config_class.from_dict(kept), notes)
    except Exception as error:  # transformers raises whatever its code meets in a stranger's file
        raise UsageError(
            f"{str(path)!r} does not describe a {model_type!r} model: {reason(error)}; correct it"
        ) from error


def _check_kind(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse what is neither a plain causal language model nor an encoder, with the cure."""
    model_type = content.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise UsageError(
            f"{str(path)!r} has {_given(content, 'model_type')}; expected a name such as 'llama'"
        )
    for key in _OTHER_KINDS:
        if content.get(key):
            raise UsageError(
                f"{str(path)!r} has {key} {_shown(content[key])}; hubel reads causal language models, "
                "and encoders such as bert"
            )
    known = ARCHITECTURES.get(model_type)
    if known and known.encoder and content.get("is_decoder"):
        raise UsageError(
            f"{str(path)!r} has is_decoder {_shown(content['is_decoder'])}; {model_type!r} models are "
            "read as encoders only: set is_decoder to false if this is one"
        )


def stored_quantisation(folder: Path) -> Mapping[str, Any]:
    """What a folder's configuration says of how its weights are quantised; empty if they are not.

    Raises:
        UsageError: it is not JSON.
    """
    path = folder / CONFIG
    return _quantisation(_read_content(path)) if path.exists() else {}


def _read_content(path: Path) -> dict[str, Any]:
    return read_json_object(path, MAX_BYTES, "an object with model_type")


def _quantisation(content: Mapping[str, Any]) -> Mapping[str, Any]:
    stored = content.get("quantization_config")
    if not stored:
        return {}
    method = stored.get("quant_method") if isinstance(stored, Mapping) else None
    if isinstance(method, str) and method:
        return stored
    return {"quant_method": "an unnamed method"}


def quantised_message(folder: Path, method: str) -> str:
    """What to do about a model whose weights are quantised."""
    return (
        f"{str(folder)!r} is quantised ({method[:40]}): its weights are codes, not numbers that can be "
        "measured and edited; give the model it was made from, or save it dequantised "
        "(model.dequantize().save_pretrained(FOLDER))"
    )


def _check_sizes(path: Path, content: Mapping[str, Any], aliases: Mapping[str, str]) -> None:
    for name in (*_SIZES, *_OPTIONAL_SIZES):
        alias = aliases.get(name, name)
        key = alias if alias in content else name
        value = content.get(key)
        is_optional = name in _OPTIONAL_SIZES or (
            name == "intermediate_size"
            and "n_embd" in aliases.values()  # GPT-2: n_inner, or 4 n_embd
        )
        if value is None and is_optional:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_SIZE:
            raise UsageError(
                f"{str(path)!r} has {_given(content, key)}; expected a whole number from 1"
            )
    n_heads, n_groups = (
        content.get(aliases.get(name, name)) or content.get(name)
        for name in ("num_attention_heads", "num_key_value_heads")
    )
    if n_heads and n_groups and n_heads % n_groups:
        raise UsageError(
            f"{str(path)!r} has num_key_value_heads {n_groups}, which does not divide "
            f"num_attention_heads {n_heads}; correct one of them"
        )


def _check_functions(path: Path, content: Mapping[str, Any]) -> None:
    """Keys that transformers looks at only when it builds the model, or never."""
    from transformers.activations import ACT2FN

    for key in ("hidden_act", "hidden_activation", "activation_function", "activation"):
        # Gemma's config.json has two of these keys, one of them null. Elsewhere transformers refuses
        # a null.
        if content.get(key) is not None and content[key] not in list(ACT2FN):
            raise UsageError(
                f"{str(path)!r} has {_given(content, key)}; "
                "expected a function that transformers knows, such as 'silu'"
            )
    for key in ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon"):
        value = content.get(key, 1e-6)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise UsageError(
                f"{str(path)!r} has {_given(content, key)}; expected a number from 0 to 1"
            )


def _given(content: Mapping[str, Any], key: str) -> str:
    return f"{key} {_shown(content[key])}" if key in content else f"no {key}"


def _shown(value: Any) -> str:
    return json.dumps(value)[:60]
