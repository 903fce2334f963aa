"""Which subjects have passed the checks of their numbers, so that each is checked once.

The self-test and the search for values that are not finite read all weights, several times, and
took half the time of a load. Their outcome depends only on what `SelfTestConditions` lists. A subject
for which any of it differs, or whose note cannot be read, is tested again.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from ..files import file_sha256
from ..files.remembered import read_note, write_note
from .architectures import Architecture
from .model_config import CONFIG
from .placement import DevicePlacement

KIND = "selftests"
"""The cache's folder of notes about passed tests."""


@dataclass(frozen=True)
class SelfTestConditions:
    """All that decides whether a subject passes.

    Attributes:
        weights, config, code: SHA-256 of the weights, of config.json, and of this folder's files,
            which load, read, edit and test subjects.
        architecture: the entry of the table.
        processor: what computes: a GPU's name, or the instructions that torch uses on a CPU.
    """

    weights: str
    config: str
    code: str
    architecture: str
    torch: str
    transformers: str
    dtype: str
    device: str
    processor: str
    attention: str

    @classmethod
    def of(
        cls,
        folder: Path,
        weights: str,
        architecture: Architecture,
        dtype: str,
        place: DevicePlacement,
        attention: str,
    ) -> Self:
        """The conditions here and now."""
        import torch
        import transformers

        return cls(
            weights,
            file_sha256(folder / CONFIG),
            code_sha256(Path(__file__).parent),
            repr(architecture),
            torch.__version__,
            transformers.__version__,
            dtype,
            place.label,
            torch.cuda.get_device_name(place.device)
            if place.device.type == "cuda"
            else torch.backends.cpu.get_cpu_capability(),
            attention,
        )

    def with_code(self, folder: Path) -> Self:
        """The conditions of a test that depends on the code of another folder too."""
        return replace(self, code=f"{self.code} {code_sha256(folder)}")

    def passed_before(self) -> bool:
        """Whether a subject has passed under these conditions."""
        return read_note(KIND, asdict(self)) == "passed"

    def note_passed(self) -> None:
        """Remember that a subject has passed under these conditions."""
        write_note(KIND, asdict(self), "passed")


def code_sha256(folder: Path) -> str:
    """SHA-256 of a folder's Python files."""
    files = sorted(folder.glob("*.py"))
    return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
