"""Loads a subject's weights, and refuses every way in which transformers only warns.

transformers fills a tensor that is missing from the files with random numbers, ignores one that the
model has no place for, and keeps both of two that should be one. Here each is an error that names the
tensor:

1. The layers that the configuration names are compared with those in the files' headers.
2. If the model has more numbers than the files hold, its tensors are compared without allocating them.
3. After loading: missing, unexpected and reshaped tensors, tied weights that differ, NaN, infinity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import UsageError
from ..files.stored_tensors import FLOATS, StoredTensor, first_names
from .architectures import Architecture, architecture_of, parameter
from .library_errors import as_usage_error
from .model_config import quantised_message
from .silence_transformers import silent_and_offline

_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_LEADING = re.compile(rf"^(?:(?:module|{'|'.join(_WRAPPERS)})\.)+")
_INNER = re.compile(rf"\.(?:{'|'.join(_WRAPPERS)})(?=\.)")
"""What torch.compile, DataParallel and others put before or between the names of a model's modules."""
_QUANTISED = re.compile(
    r"\.(?:qweight|qzeros|scales|g_idx|weight_scale(?:_inv)?|absmax|SCB|quant_map)$"
)


def load_model(
    folder: Path,
    config: Any,
    stored: Mapping[str, StoredTensor],
    architecture: Architecture,
    *,
    dtype: str,
    attention: str = "sdpa",
    checked_before: bool = False,
    place: Mapping[str, Any] | None = None,
) -> Any:
    """The model with exactly the weights of the files, which are mapped and not copied.

    Args:
        checked_before: whether these weights have been loaded with this configuration and `dtype`,
            so that the checks that take long would find nothing.
        place: options of transformers that spread the model over devices.

    Raises:
        UsageError: the weights are not those of the configuration, or are not finite numbers; the
            message names the tensors.
    """
    import torch

    plain_names = _plain_names(folder, stored, architecture)
    _check_formats(folder, stored, architecture)
    _check_layers(folder, config, plain_names.values(), architecture)
    _check_sizes(folder, config, stored)

    options: dict[str, Any] = {"dtype": getattr(torch, dtype)}
    if attention == "eager":
        # Otherwise transformers chooses: sdpa, except for families without it (Gemma 2).
        options["attn_implementation"] = attention
    if wrapper_note(stored):
        options["key_mapping"] = _key_mapping(stored)
    n_stored = sum(prod(tensor.shape) for tensor in stored.values())
    if not checked_before and _n_parameters(folder, config, architecture) > n_stored:
        # What is missing would be allocated, whatever its size, so names are compared first.
        report = _load(folder, config, architecture, options | _ALLOCATE_NOTHING)[1]
        _check_report(folder, report, architecture)
    model, report = _load(folder, config, architecture, {**options, **(place or {})})
    _check_report(folder, report, architecture)
    _check_tied(folder, model)
    if not checked_before:
        by_plain_name = {plain: stored[name] for name, plain in plain_names.items()}
        _check_finite(folder, model, by_plain_name, dtype)
    return model


def load_dequantised(folder: Path, config: Any) -> Any:
    """The model of a folder whose weights are codes, with what they mean in float32.

    Args:
        config: with its `quantization_config`.

    Raises:
        UsageError: the weights are not those of the configuration, or cannot be dequantised.
    """
    import torch

    architecture = architecture_of(config.model_type)
    options = {"dtype": torch.float32, "device_map": "cpu"}
    model, report = _load(folder, config, architecture, options)
    _check_report(folder, report, architecture)
    _check_tied(folder, model)
    if not getattr(model, "is_quantized", False):  # transformers has dequantised as it read
        return model
    with as_usage_error(f"{str(folder)!r} cannot be dequantised"), silent_and_offline():
        return model.dequantize(torch.float32)


def wrapper_note(stored: Mapping[str, StoredTensor]) -> str | None:
    """A line on the names of wrappers that are removed from those of tensors, if there are any."""
    found = {match[0].strip(".") for name in stored for match in _LEADING.finditer(name)}
    found |= {match[0].strip(".") for name in stored for match in _INNER.finditer(name)}
    if not found:
        return None
    return f"removed {', '.join(sorted(found))} from the names of the tensors"


_ALLOCATE_NOTHING = {"device_map": {"": "meta"}}


class _ModelClass(NamedTuple):
    """transformers' class of a family, and how it is made."""

    auto: Any
    options: dict[str, Any]


def _model_class(architecture: Architecture) -> _ModelClass:
    from transformers import AutoModel, AutoModelForCausalLM

    if architecture.encoder is None:
        return _ModelClass(AutoModelForCausalLM, {})
    without_pooler = {"add_pooling_layer": False} if architecture.encoder.pooler else {}
    return _ModelClass(AutoModel, without_pooler)


def _load(
    folder: Path, config: Any, architecture: Architecture, options: Mapping[str, Any]
) -> tuple[Any, Mapping[str, Any]]:
    """The model, and transformers' report: which tensors are missing, unexpected or reshaped."""
    from transformers import GenerationConfig

    made = _model_class(architecture)
    options = {**made.options, **options}
    if architecture.encoder is None:
        options["generation_config"] = GenerationConfig()  # the folder's own is not read
    with as_usage_error(f"the weights in {str(folder)!r} cannot be loaded"), silent_and_offline():
        loaded: Any = made.auto.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are in the report
            **options,
        )
        return loaded


def _key_mapping(stored: Mapping[str, StoredTensor]) -> dict[str, str]:
    """transformers' rules of renaming, which replace one match each."""
    n_inner = max(len(_INNER.findall(name)) for name in stored)
    # A rule is a key of this dict; an empty group makes the same rule another key.
    return {_LEADING.pattern: "", **{_INNER.pattern + "(?:)" * i: "" for i in range(n_inner)}}


def _plain_names(
    folder: Path, stored: Mapping[str, StoredTensor], architecture: Architecture
) -> dict[str, str]:
    """Each stored name without wrappers; two names must not mean one tensor."""
    plain_names = {name: _INNER.sub("", _LEADING.sub("", name)) for name in stored}
    base = architecture.layers.partition(".")[0]  # transformers adds it to a name without it
    name_of: dict[str, str] = {}
    for name, plain in plain_names.items():
        other = name_of.setdefault(plain.removeprefix(f"{base}."), name)
        if other != name:
            raise UsageError(
                f"{other!r} and {name!r} in {str(folder)!r} are the same tensor twice; "
                "save the model again, with each tensor once"
            )
    return plain_names


def _check_formats(
    folder: Path, stored: Mapping[str, StoredTensor], architecture: Architecture
) -> None:
    for name, tensor in stored.items():
        is_number = tensor.dtype in FLOATS or not name.endswith((".weight", ".bias"))
        if not is_number and not re.search(architecture.computed, name):
            raise UsageError(quantised_message(folder, f"{name!r} is {tensor.dtype}"))
        if _QUANTISED.search(name):
            raise UsageError(quantised_message(folder, f"it holds {name!r}"))


def _check_layers(
    folder: Path, config: Any, names: Iterable[str], architecture: Architecture
) -> None:
    """Compare the numbers of layers, since a model of a million layers takes minutes to lay out."""
    layers = re.compile(
        rf"(?:^|\.){re.escape(architecture.layers.rpartition('.')[2])}\.(\d{{1,9}})\."
    )
    held = {int(match[1]) for name in names if (match := layers.search(name))}
    wanted: int = config.num_hidden_layers
    if held != set(range(len(held))) or len(held) != wanted:
        numbers = f"{len(held)}" + (f" (up to number {max(held)})" if held else "")
        raise UsageError(
            f"config.json in {str(folder)!r} has {wanted:,} layers (num_hidden_layers), "
            f"its weights have {numbers}; correct config.json, or fetch the model again"
        )


def _check_sizes(folder: Path, config: Any, stored: Mapping[str, StoredTensor]) -> None:
    """Refuse a size that no tensor has, before a table of that length is made."""
    largest = max((size for tensor in stored.values() for size in tensor.shape), default=0)
    harmless = 1 << 20  # of tables this long; then the tensors that differ are named instead
    for key in (
        "hidden_size",
        "intermediate_size",
        "vocab_size",
        "head_dim",
        "num_attention_heads",
    ):
        size = getattr(config, key, None)
        if isinstance(size, int) and size > max(largest, harmless):
            raise UsageError(
                f"config.json in {str(folder)!r} has {key} {size:,}, but no tensor of the weights has "
                f"more than {largest:,} rows or columns; correct config.json"
            )


def _n_parameters(folder: Path, config: Any, architecture: Architecture) -> int:
    """How many numbers the model of a configuration has, tied ones once; nothing is allocated."""
    import torch

    made = _model_class(architecture)
    path = str(folder / "config.json")
    with as_usage_error(f"{path!r} describes no model that can be built"), silent_and_offline():
        with torch.device("meta"):
            model: Any = made.auto.from_config(config, trust_remote_code=False, **made.options)
        return sum(prod(weight.shape) for weight in model.parameters())


def _check_report(folder: Path, report: Mapping[str, Any], architecture: Architecture) -> None:
    missing = sorted(report["missing_keys"])
    reshaped = sorted((name, tuple(a), tuple(b)) for name, a, b in report["mismatched_keys"])
    left_out = [architecture.computed, *([it.heads] if (it := architecture.encoder) else [])]
    unexpected = sorted(
        name
        for name in report["unexpected_keys"]
        if not any(re.search(pattern, name) for pattern in left_out)
    )
    faults: list[str] = []
    if reshaped:
        name, held, wanted = reshaped[0]
        others = f" and {len(reshaped) - 1} more" if len(reshaped) > 1 else ""
        faults.append(f"{name!r} has shape {held} instead of {wanted}{others}")
    if missing:
        faults.append(f"{_listed(missing)} missing")
    if unexpected:
        faults.append(f"{_listed(unexpected)} not of this model")
    faults += map(str, report.get("error_msgs") or [])
    if faults:
        hint = ""
        if missing == ["lm_head.weight"]:
            hint = "set tie_word_embeddings if the embedding is meant, or "
        raise UsageError(
            f"the weights in {str(folder)!r} are not those that config.json describes: "
            f"{'; '.join(faults)}; {hint}correct config.json, or fetch the model again"
        )


def _listed(names: list[str]) -> str:
    return f"{first_names(names)} {'is' if len(names) == 1 else 'are'}"


def _check_tied(folder: Path, model: Any) -> None:
    """transformers keeps two tensors that config.json says are one, if both are there and differ."""
    if not model.config.tie_word_embeddings or model.get_output_embeddings() is None:
        return
    embedding, unembedding = model.get_input_embeddings(), model.get_output_embeddings()
    if any(held.weight.is_meta for held in (embedding, unembedding)):  # on disk: one tensor or two
        tied = bool((parameter(embedding) == parameter(unembedding)).all())
    else:
        tied = embedding.weight.data_ptr() == unembedding.weight.data_ptr()
    if not tied:
        raise UsageError(
            f"config.json in {str(folder)!r} ties lm_head.weight to the embedding, but the weights hold "
            "two different ones; set tie_word_embeddings to false, or remove lm_head.weight"
        )


def _check_finite(folder: Path, model: Any, stored: Mapping[str, StoredTensor], dtype: str) -> None:
    from .non_finite import is_finite

    for name, _ in model.named_parameters():
        module, _, attribute = name.rpartition(".")
        values = parameter(model.get_submodule(module), attribute)
        if is_finite(values):
            continue
        place = f"{name!r} in {str(folder)!r}"
        largest = _largest_stored(name, stored, model.base_model_prefix)
        if largest is not None and largest < float("inf"):
            raise UsageError(
                f"{place} has a value of size {largest:g}, which {dtype} cannot hold; "
                "load it with --dtype bfloat16 or float32"
            )
        n_faults = int((~values.isfinite()).sum())
        raise UsageError(
            f"{place} has {n_faults:,} of {values.numel():,} values that are NaN or infinite; "
            "fetch the model again"
        )


def _largest_stored(name: str, stored: Mapping[str, StoredTensor], prefix: str) -> float | None:
    """The largest size of a parameter's values in its file; NaN if one is, None if it is not found."""
    from safetensors import safe_open

    for candidate in (name, name.removeprefix(f"{prefix}."), f"{prefix}.{name}"):
        if candidate in stored:
            tensor = stored[candidate]
            with safe_open(tensor.file, "pt") as file:
                return float(file.get_tensor(tensor.name).double().abs().max())
    return None
