"""Where a subject's weights are: on one device, or spread over several by accelerate.

A device's name is "auto", "cpu", "cuda:1" and so on; "map:" and a device map spreads the layers:

    map:auto          also map:balanced, map:balanced_low_0 and map:sequential: accelerate decides
                      from the free memory of each device; what fits on no GPU stays in main memory
    map:FILE.json     an object of modules and devices: {"model.embed_tokens": 0, "model.layers.0":
                      "cuda:1", "model.layers.1": "disk", ...}

A module on "disk" has no weights in memory: each pass reads them from the subject's own files.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnavailableError, UsageError
from .json_object import read_json_object

if TYPE_CHECKING:
    import torch
    from torch import nn

PREFIX = "map:"
STRATEGIES = ("auto", "balanced", "balanced_low_0", "sequential")
MAX_BYTES = 1 << 22
"""Of a device map: one with a line for every module of a model of 500 layers has 1 MB."""


@dataclass(frozen=True)
class DevicePlacement:
    """Where to load a subject.

    Attributes:
        device: where all of it is; with a map, what the map's first choice would be.
        device_map: one of `STRATEGIES`, or devices by module; None for one device.
    """

    device: torch.device
    device_map: str | dict[str, str | int] | None = None

    @property
    def label(self) -> str:
        """All that the placement says, for the conditions of a self-test."""
        return (
            f"{self.device} {json.dumps(self.device_map)}" if self.device_map else f"{self.device}"
        )

    def options(self) -> dict[str, Any]:
        """Those of transformers' `from_pretrained`."""
        return {"device_map": self.device_map} if self.device_map else {}


def placement(device: str) -> DevicePlacement:
    """The placement that a device's name says.

    Raises:
        UsageError: a device or device map that is unknown, or not available here.
        UnavailableError: a device map is given and accelerate is not installed.
    """
    if not device.startswith(PREFIX):
        return DevicePlacement(resolve_device(device))
    name = device.removeprefix(PREFIX)
    if importlib.util.find_spec("accelerate") is None:
        raise UnavailableError(
            f"--device-map {name} needs accelerate, which is not installed: pip install accelerate"
        )
    first = resolve_device("auto")
    if first.type == "mps":
        first = resolve_device("cpu")  # accelerate maps to GPUs of a kind, main memory and disk
    if name in STRATEGIES:
        return DevicePlacement(first, name)
    if not Path(name).is_file():
        raise UsageError(
            f"--device-map {name!r} given; choose {', '.join(STRATEGIES)}, or give a JSON file with "
            'the device of each module, such as {"model.layers.0": "cuda:1"}'
        )
    return DevicePlacement(first, _read_map(Path(name)))


def _read_map(path: Path) -> dict[str, str | int]:
    what = 'an object of modules and devices, such as {"model.layers.0": "cuda:1"}'
    content = read_json_object(path, MAX_BYTES, what)
    for module, device in content.items():
        if isinstance(device, bool) or not isinstance(device, str | int):
            raise UsageError(
                f"the device map {str(path)!r} has {device!r} for {module!r}; expected a device: "
                '"cpu", "disk", "cuda:1" or a GPU\'s number'
            )
        if device != "disk":
            resolve_device(f"cuda:{device}" if isinstance(device, int) else device)
    if not content:
        raise UsageError(f"the device map {str(path)!r} is empty; expected {what}")
    return content


def resolve_device(device: str) -> torch.device:
    """The torch device of a name; raises UsageError if it is unknown or unavailable."""
    import torch

    available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    types = [name for name, is_available in available.items() if is_available()] + ["cpu"]
    if device == "auto":
        return torch.device(types[0])
    try:
        torch_device = torch.device(device)
    except RuntimeError as error:
        raise UsageError(
            f"device {device!r} given; choose auto, cpu, cuda, cuda:N or mps"
        ) from error
    missing_gpu = (
        torch_device.type == "cuda" and (torch_device.index or 0) >= torch.cuda.device_count()
    )
    if torch_device.type not in types or missing_gpu:
        raise UsageError(f"device {device!r} is not available here; choose {', '.join(types)}")
    return torch_device


def require_in_memory(model: nn.Module, why: str) -> None:
    """Raise UsageError, which begins with `why`, if a device map put a part of the model on disk."""
    if any(weight.is_meta for weight in model.parameters()):
        raise UsageError(f"{why}, and a part of it is on disk: load it with --dtype float32")


def describe_map(model: nn.Module) -> str | None:
    """Where the modules of a spread model are, in one line; None for a model on one device."""
    of_module: dict[str, Any] = getattr(model, "hf_device_map", None) or {}
    places = [(name, _device_name(place)) for name, place in of_module.items()]
    if len({place for _, place in places}) < 2:
        return None
    parts: list[str] = []
    for place, group in groupby(places, key=lambda pair: pair[1]):
        names = [name for name, _ in group]
        parts.append(f"{place}: {names[0]}" + (f" to {names[-1]}" if len(names) > 1 else ""))
    return "; ".join(parts)


def _device_name(place: Any) -> str:
    return f"cuda:{place}" if isinstance(place, int) else str(place)
