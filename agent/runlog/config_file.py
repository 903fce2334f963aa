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
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from ...tools.errors import CorruptError, UsageError
from ...tools.files import atomic_file
from ...tools.files.regular_file import IrregularFileError, read_regular
from .layout import CONFIG
from .model_config import ModelConfig, check_base_url

FORMAT = 1
MAX_BYTES = 16 << 20
"""A configuration with 100,000 targets takes 2 MB; parsed, a file may take 20 times its size."""


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
        written_as = flat.get("format", FORMAT)
        if isinstance(written_as, int) and written_as > FORMAT:
            raise UsageError(
                f"{origin} was written by a newer hubel (format {written_as}, here {FORMAT}); upgrade"
            )
        kinds = cls._kinds()
        for key, value in flat.items():
            if key in kinds and not _fits(value, kinds[key]):
                raise UsageError(
                    f"{origin}: {key} = {value!r:.100}, where {_name(kinds[key])} is expected"
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

    @classmethod
    def _kinds(cls) -> dict[str, Any]:
        """The type of each flat setting."""
        own = get_type_hints(cls)
        kinds = {name: kind for name, kind in own.items() if name not in cls.KEYS}
        for name, keys in cls.KEYS.items():
            parts = get_type_hints(own[name])
            kinds |= {key: parts[part] for part, key in keys.items()}
        return kinds

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
        CorruptError: it is not TOML, too large, or a link that leads out of the run's folder.
    """
    file = path / CONFIG if path.is_dir() else path
    inside = path if path.is_dir() else None
    try:
        return tomllib.loads(read_regular(file, MAX_BYTES, inside=inside).decode())
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"no run at {str(path)!r}; `hubel runs` lists those that are there"
        ) from None
    except IrregularFileError as error:
        raise CorruptError(f"{file} is not read: {error.strerror}; replace it by a file") from None
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's errors are ValueErrors
        raise CorruptError(
            f"{file} cannot be read as TOML: {error}; repair it, or start the run again"
        ) from None


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of a TOML file has the type of a setting."""
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return type(value) is int and abs(value) < 1 << 63
    parts = get_args(kind)
    if get_origin(kind) is list:
        return isinstance(value, list) and all(_fits(part, parts[0]) for part in value)
    if parts:  # a mapping, whose keys are text in TOML
        return isinstance(value, dict) and all(_fits(part, parts[1]) for part in value.values())
    return isinstance(value, kind)


def _name(kind: Any) -> str:
    """A type in words: "text", "a list of text", "a table of numbers"."""
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    if get_origin(kind) is list:
        return f"a list of {names[get_args(kind)[0]]}"
    if parts := get_args(kind):
        return f"a table with values that are {names[parts[1]]}"
    return names[kind]
