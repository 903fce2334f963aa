"""Configurations on disk: flat TOML files, whatever values a configuration is built from.

`config.toml` has one flat key per setting (`explainer`, `base_url`, `simulator`,
`simulator_base_url`, ...). In the program a model and a budget are separate values; `KEYS` says
which of their fields has which key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from ...tools.errors import CorruptError, UsageError
from ...tools.files import atomic_file
from .layout import CONFIG
from .model_config import ModelConfig, check_base_url

FORMAT = 1


@dataclass(frozen=True)
class ConfigFile:
    """A configuration that is kept as `config.toml`."""

    KEYS: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Field that holds a ModelConfig or BudgetConfig, to the keys of that value's fields."""
    REQUIRED: ClassVar[tuple[str, ...]] = ()

    def to_settings(self) -> dict[str, Any]:
        """The flat settings, as they are written."""
        settings: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            keys = self.KEYS.get(name)
            if keys is None:
                settings[name] = value
            else:
                settings |= {key: getattr(value, part) for part, key in keys.items()}
        return settings

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], origin: str = CONFIG) -> Self:
        """The inverse of `to_settings`; settings that are left out have their defaults.

        Args:
            origin: the file, for messages.

        Raises:
            UsageError: a setting is unknown or missing, or a newer hubel wrote them.
        """
        flat = dict(settings)
        if flat.get("format", FORMAT) > FORMAT:
            raise UsageError(
                f"{origin} was written by a newer hubel (format {flat['format']}, here {FORMAT}); upgrade"
            )
        values: dict[str, Any] = {}
        for name, keys in cls.KEYS.items():
            parts = {part: flat.pop(key) for part, key in keys.items() if key in flat}
            values[name] = replace(getattr(cls, name), **parts)
        plain_keys = {field.name for field in fields(cls)} - cls.KEYS.keys()
        if unknown := sorted(set(flat) - plain_keys):
            nested_keys = {key for keys in cls.KEYS.values() for key in keys.values()}
            names = ", ".join(sorted(plain_keys | nested_keys))
            raise UsageError(f"{origin}: unknown setting {unknown[0]!r}; known ones are {names}")
        if missing := [name for name in cls.REQUIRED if name not in flat]:
            raise UsageError(f"{origin}: the setting {missing[0]!r} is missing")
        return cls(**flat, **values)

    def save(self, folder: Path) -> None:
        """Write `config.toml`, whole or not at all.

        Raises:
            UsageError: the address of a server holds a login or a key.
        """
        import tomli_w

        for value in vars(self).values():
            if isinstance(value, ModelConfig):
                check_base_url(value.base_url)
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / CONFIG) as partial:
            partial.write_text(tomli_w.dumps(self.to_settings()), encoding="utf-8")


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a `config.toml`; `path` is the file or the run's folder.

    Raises:
        UsageError: there is no such file.
        CorruptError: it is not TOML.
    """
    file = path / CONFIG if path.is_dir() else path
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"no run at {str(path)!r}; `hubel runs` lists those that are there"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorruptError(
            f"{file} cannot be read as TOML: {error}; repair it, or start the run again"
        ) from None
