"""A training's state on disk: complete or absent, and only for the same training. In the folder OUT:

work/settings.json          what is trained on what; another training is refused
work/checkpoint-STEP/       tensors and position; older ones are deleted
training.json               what was trained on what, and its figures; written last
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...errors import CorruptError, UsageError
from ...files import atomic_folder
from ...files.checked_file import check_file
from ...files.sealed_json import read_sealed, write_sealed
from ...index.index_files import files_from_json, files_to_json, hash_files
from ..read import TRAINING

_SETTINGS, _STATE, _TENSORS = "settings.json", "state.json", "tensors.safetensors"


class SavedState(NamedTuple):
    """A checkpoint: steps done, where the next vectors are, and the tensors."""

    step: int
    state: dict[str, Any]
    tensors: dict[str, Tensor]


class TrainingFolder:
    """The folder of a training, `out`, with what is needed until its end in `work`."""

    def __init__(self, out: Path) -> None:
        self.out, self.work = out, out / "work"

    def claim(self, task: Mapping[str, Any]) -> dict[str, Any] | None:
        """Begin a training or go on with the same one; returns the description of a finished one.

        Raises:
            UsageError: another training was begun or finished here, or the folder holds other files.
            CorruptError: the description of what was begun is damaged.
        """
        task = json.loads(json.dumps(task))  # as it is read back
        finished, begun = self.out / TRAINING, self.work / _SETTINGS
        for path in (finished, begun):
            if not path.exists():
                continue
            content = self._read(path)
            self._check_same(content["task"], task)
            if path == finished:
                shutil.rmtree(self.work, ignore_errors=True)  # if killed before it was deleted
                return content
            return None
        if self.out.exists() and any(self.out.iterdir()) and not self.work.exists():
            raise UsageError(f"{str(self.out)!r} holds other files; give a new folder")
        write_sealed(begun, {"task": task})
        return None

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Write the description, with which the training counts as finished."""
        content = self._read(self.work / _SETTINGS)
        write_sealed(self.out / TRAINING, {**content, **outcome})
        shutil.rmtree(self.work, ignore_errors=True)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return read_sealed(path)
        except (OSError, ValueError) as error:
            cure = f"rm -r {self.out}, then train again"
            raise CorruptError(f"{path} is damaged ({error}); {cure}") from error

    def _check_same(self, begun: Mapping[str, Any], task: Mapping[str, Any]) -> None:
        differing = [name for name in task if begun.get(name) != task[name]]
        if differing:
            was = ", ".join(f"{name} {begun.get(name)!r}" for name in differing)
            now = ", ".join(f"{name} {task[name]!r}" for name in differing)
            raise UsageError(
                f"{str(self.out)!r} holds a training with {was}; {now} given: "
                "give the same settings, or another --out"
            )

    def save(self, step: int, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write the state after so many steps, and delete older ones."""
        with atomic_folder(self.work / f"checkpoint-{step}") as part:
            save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, part / _TENSORS)
            write_sealed(part / _STATE, {**state, "files": files_to_json(hash_files(part))})
        for number, path in self._saved():
            if number != step:
                shutil.rmtree(path)

    def load(self) -> SavedState | None:
        """The newest checkpoint; None if there is none.

        Raises:
            CorruptError: it is damaged.
        """
        saved = self._saved()
        if not saved:
            return None
        step, path = saved[-1]
        try:
            state = read_sealed(path / _STATE)
            hashes = files_from_json(state.pop("files"))
            check_file(path / _TENSORS, hashes[_TENSORS], self._cure)
            return SavedState(step, state, load_file(path / _TENSORS))
        except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            raise CorruptError(f"{path} is damaged ({error}); {self._cure}") from error

    @property
    def _cure(self) -> str:
        return f"rm -r {self.work}, then run the same command again"

    def _saved(self) -> list[tuple[int, Path]]:
        paths = self.work.glob("checkpoint-*")
        return sorted((int(path.name.partition("-")[2]), path) for path in paths)
