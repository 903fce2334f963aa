"""A study run's configuration: all that is needed to run it again, kept as `config.toml` in its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...tools.errors import UsageError
from ..runlog.config_file import FORMAT, ConfigFile, read_settings
from ..runlog.layout import CONFIG, run_argument

KIND = "study"


@dataclass(frozen=True)
class StudyConfig(ConfigFile):
    """What a study run does. Written once, when the run is made; resuming reads it and changes nothing."""

    REQUIRED: ClassVar = ("study",)

    study: str
    subjects: list[str] = field(default_factory=list)
    """Names of the subjects, in the order in which the study uses them."""
    options: dict[str, object] = field(default_factory=dict)
    """All of the study's own options, with their values."""
    device: str = "auto"
    dtype: str = "float32"
    versions: dict[str, str] = field(default_factory=dict)
    kind: str = KIND
    format: int = FORMAT

    @classmethod
    def load(cls, folder: Path) -> StudyConfig:
        """Read a run's configuration.

        Raises:
            UsageError: there is no such run, it is not a study, or it was made by a newer hubel.
            CorruptError: the file cannot be read.
        """
        settings = read_settings(folder)
        if settings.get("kind") != KIND:
            raise UsageError(
                f"{folder.name} is not a study; `hubel show {run_argument(folder)}` shows it"
            )
        return cls.from_settings(settings, str(folder / CONFIG))


def is_study(folder: Path) -> bool:
    """Whether a run's folder holds a study."""
    return read_settings(folder).get("kind") == KIND
