"""A subject from a folder whose config.json says that its weights are quantised.

1. transformers loads the folder and dequantises it once; the weights are kept in the cache as a plain
   model's folder in float32, under the hash of everything in the folder.
2. What hubel measures is therefore the model with the quantised weights. Where the method rounds
   activations too, as bitsandbytes does in 8 bits, those are not rounded.
3. Its title says the quantisation, as in "model, dequantised from bitsandbytes nf4", and goes with it
   into every index, run and report; its revision is the hash of the dequantised weights.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..errors import UnavailableError, UsageError
from ..files import file_sha256
from ..files.stored_tensors import read_stored_tensors
from .model_config import CONFIG, read_config, stored_quantisation
from .plain_model import made_once, save_plain_model
from .weights import load_dequantised

METHODS: dict[str, tuple[str, ...]] = {
    "bitsandbytes": ("bitsandbytes",),
    "compressed-tensors": ("compressed-tensors",),
    "fp8": (),
}
"""What transformers dequantises, and the packages that it needs for it."""
NOTE = "dequantised.json"
"""In the folder that was made: what it was made from."""
SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja")
"""Of a model's folder, all but its weights."""
_FORMAT = 1  # increment when the making changes, so that older copies are made again


def is_dequantisable(folder: Path) -> bool:
    """Whether config.json names a quantisation that can be undone."""
    return stored_quantisation(folder).get("quant_method") in METHODS


def quantisation_name(stored: Mapping[str, Any]) -> str:
    """The method and its form, such as "bitsandbytes nf4", of a `quantization_config`."""
    method = str(stored.get("quant_method"))
    if method == "bitsandbytes":
        form = "int8" if stored.get("load_in_8bit") else stored.get("bnb_4bit_quant_type", "")
    else:
        form = stored.get("fmt") or stored.get("format") or ""
    return f"{method} {str(form)[:40]}".rstrip()


def dequantised_folder(
    folder: Path,
    weights: str,
    subject: str,
    progress: Callable[[str], None] = lambda line: None,
) -> Path:
    """The plain folder that a quantised one was made into; made if it is not there yet.

    Args:
        weights: hash of the quantised weights.
        subject: its name, for a line on what takes long.

    Raises:
        UsageError: the folder is not what its config.json says.
        UnavailableError: a package that undoes its quantisation is missing, or the disk is full.
    """
    small = {path.name: file_sha256(path) for path in _small_files(folder)}
    stored = stored_quantisation(folder)
    name = quantisation_name(stored)
    packages = ("transformers", *METHODS[stored["quant_method"]])
    _check_packages(folder, name, packages)
    if stored["quant_method"] == "compressed-tensors":
        _check_compressed(folder, stored)
    versions = {package: version(package) for package in packages}
    inputs = json.dumps([weights, small, versions], sort_keys=True)
    key = hashlib.sha256(inputs.encode()).hexdigest()

    def make(part: Path) -> None:
        progress(f"dequantising {Path(subject).name} from {name} (once)")
        _dequantise(folder, part)
        (part / NOTE).write_text(json.dumps({"from": name}), encoding="utf-8")

    return made_once(f"dequantised{_FORMAT}-{key[:16]}", make)


def dequantised_title(title: str, folder: Path) -> str:
    """A title that says what a folder was dequantised from, if it was."""
    note = folder / NOTE
    if not note.exists():
        return title
    return f"{title}, dequantised from {json.loads(note.read_text(encoding='utf-8'))['from']}"


def _check_packages(folder: Path, name: str, packages: Sequence[str]) -> None:
    for package in packages:
        try:
            version(package)
        except PackageNotFoundError as error:
            raise UnavailableError(
                f"{str(folder)!r} is quantised ({name}), and the package {package} is not installed: "
                "pip install 'hubel[quantised]', or give the model it was made from"
            ) from error


def _check_compressed(folder: Path, stored: Mapping[str, Any]) -> None:
    """Refuse what transformers would decode in silence with the wrong scheme, or without a scale.

    It takes the first group's scheme for all layers, and codes without a scale as they are.
    """
    groups = stored.get("config_groups")
    if stored.get("format") != "pack-quantized" or not isinstance(groups, Mapping):
        raise UsageError(
            f"{str(folder)!r} is quantised ({quantisation_name(stored)}); of compressed-tensors only "
            "the format pack-quantized is read: give the model it was made from"
        )
    if len(groups) != 1:
        raise UsageError(
            f"{str(folder)!r} has {len(groups)} groups of layers that are quantised each in its own way "
            "(config_groups), of which only one is read: give the model it was made from"
        )
    names = read_stored_tensors(folder)
    for packed in (name for name in names if name.endswith(".weight_packed")):
        scale = packed.removesuffix("packed") + "scale"
        if scale not in names:
            raise UsageError(f"{scale!r} is missing in {str(folder)!r}; fetch the model again")


def _dequantise(folder: Path, part: Path) -> None:
    """Write the model with its weights in float32, and copies of the other small files."""
    config = read_config(folder, quantised=True).config
    if config.quantization_config["quant_method"] != "bitsandbytes":
        config.quantization_config["dequantize"] = True  # also where a GPU could use the codes
    save_plain_model(load_dequantised(folder, config), part)
    for path in _small_files(folder):
        if path.name != CONFIG and not path.name.endswith(".index.json"):
            shutil.copyfile(path, part / path.name)


def _small_files(folder: Path) -> list[Path]:
    return sorted(path for pattern in SMALL_FILES for path in folder.glob(pattern))
