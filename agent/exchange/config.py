"""The configuration of an imported set: where it came from, kept as `config.toml` in its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...tools.errors import UsageError
from ..runlog.config_file import FORMAT, ConfigFile, read_settings
from ..runlog.layout import CONFIG, run_argument

KIND = "imported"


@dataclass(frozen=True)
class ImportConfig(ConfigFile):
    """What was imported. Written once; nothing of it is ever run."""

    REQUIRED: ClassVar = ("source", "source_format")

    source: str
    """The file or folder, as given."""
    source_format: str
    """Name of the format as which it was read."""
    index: str = ""
    """The index against which units and tokens were checked; "" if none was given."""
    units: dict[str, str] = field(default_factory=dict)
    """What the file calls a place, to what it is here: ``layers.15.mlp`` to ``sae.NAME``."""
    versions: dict[str, str] = field(default_factory=dict)
    kind: str = KIND
    format: int = FORMAT

    @classmethod
    def load(cls, folder: Path) -> ImportConfig:
        """Read an imported set's configuration.

        Raises:
            UsageError: there is none, it is not an imported set, or a newer hubel wrote it.
            CorruptError: the file cannot be read.
        """
        settings = read_settings(folder)
        if settings.get("kind") != KIND:
            raise UsageError(
                f"{folder.name} was not imported; `hubel show {run_argument(folder)}` shows it"
            )
        return cls.from_settings(settings, str(folder / CONFIG))


def is_imported(folder: Path) -> bool:
    """Whether a run's folder holds a set of other people's explanations."""
    return read_settings(folder).get("kind") == KIND


def refuse_imported(folder: Path, command: str) -> None:
    """Raise UsageError where a command needs a run and the folder holds an imported set."""
    if is_imported(folder):
        name = run_argument(folder)
        raise UsageError(
            f"{folder.name} was imported, so there is nothing to {command}; `hubel show {name}` prints "
            f"it, and `hubel eval {name} --index I` scores it here"
        )
