"""Suites of planted units: a TOML file that says what each unit fires on, parsed and checked before
anything is loaded.

A unit is one of three kinds:
    planted     parts, each a pattern (RE2) with a side and a strength; several parts add up
    null        nothing to explain: "noise" or "shuffled:mlp.9.33"
    control     something to explain that no model learned: "rotated" or "redrawn:mlp.6.33"

Two conditions on a match go beyond RE2, which has no backreferences and no notion of contexts (see
`docs/design/planted-units.md`): `repeated` and `positions`. This module needs no torch.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import re2

from ...errors import UsageError
from ..address import Unit

NULLS = ("noise", "shuffled")
CONTROLS = ("rotated", "redrawn")
SOURCED = ("shuffled", "redrawn")
"""Kinds that name the real unit they are derived from."""


@dataclass(frozen=True)
class PlantedPart:
    """One pattern that a planted unit fires on.

    Attributes:
        match: RE2; of a match, its group 1 if it has one.
        strength: the activation, above 0; `side` gives its sign.
        hold: how many tokens after the match stay active, up to the context's end.
        noise: standard deviation as a share of the unit's largest strength; the largest of the
            parts counts.
        writes: the token whose unembedding the unit adds to the residual stream; "" for none.
        repeated: count only matches whose text has matched earlier in the same context.
        positions: count only matches that begin at these token positions of their context, first
            and last.
    """

    match: str
    side: Literal["+", "-"] = "+"
    strength: float = 1.0
    hold: int = 0
    noise: float = 0.0
    writes: str = ""
    repeated: bool = False
    positions: tuple[int, int] | None = None

    @property
    def activation(self) -> float:
        """The unit's activation where only this part fires."""
        return -self.strength if self.side == "-" else self.strength

    @cached_property
    def pattern(self) -> Any:
        """The compiled pattern; raises `re2.error`."""
        options = re2.Options()
        options.log_errors = False
        return re2.compile(self.match, options)


@dataclass(frozen=True)
class SuiteUnit:
    """One unit of a suite.

    Attributes:
        family: for the report; see `family_of` for the default.
        null, control: kind and source ("shuffled:mlp.9.33"), or "".
    """

    id: str
    layer: int
    meaning: str = ""
    family: str = ""
    parts: tuple[PlantedPart, ...] = ()
    null: str = ""
    control: str = ""

    @property
    def kind(self) -> Literal["planted", "null", "control"]:
        """Which of the three kinds it is."""
        if self.parts:
            return "planted"
        return "null" if self.null else "control"

    @property
    def strongest(self) -> float:
        """The largest |strength|."""
        return max((part.strength for part in self.parts), default=0.0)

    @property
    def weakest(self) -> float:
        """The smallest |strength|."""
        return min((part.strength for part in self.parts), default=0.0)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise on every token, in units of activation."""
        return max((part.noise for part in self.parts), default=0.0) * self.strongest


@dataclass(frozen=True)
class Suite:
    """A checked suite; `digest` is the SHA-256 of its file, `origin` its name."""

    units: tuple[SuiteUnit, ...]
    seed: int = 0
    origin: str = "suite"
    text: str = ""

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def layers(self) -> list[int]:
        """Layers with any unit, ascending."""
        return sorted({unit.layer for unit in self.units})


def read_suite(path: Path | str) -> Suite:
    """Read and check a suite file.

    Raises:
        UsageError: there is no such file, it is not TOML, or a unit is invalid; the message names
            the unit and says why.
    """
    path = Path(path)
    try:
        return parse_suite(path.read_text(encoding="utf-8"), str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise UsageError(
            f"no suite at {str(path)!r}; give a TOML file of [[unit]] tables"
        ) from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); give a TOML file"
        ) from None


def parse_suite(text: str, origin: str = "suite") -> Suite:
    """Parse a suite; `origin` is its name in messages. Raises UsageError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin} is not TOML: {error}") from None
    _check_keys(data, ("seed", "unit"), origin)
    seed, rows = _count(data, "seed", origin, "a whole number from 0 on"), data.get("unit", [])
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{origin} has no units; add at least one [[unit]] table")
    units = tuple(
        _unit(row, f"{origin}: unit {_label(row, number)}")
        for number, row in enumerate(rows, start=1)
    )
    ids = [unit.id for unit in units]
    if len(set(ids)) < len(ids):
        duplicate = next(id for id in ids if ids.count(id) > 1)
        raise UsageError(f"{origin}: two units have the id {duplicate!r}; give each its own")
    return Suite(units, seed, origin, text)


def _label(row: Mapping[str, Any], number: int) -> str:
    return repr(row["id"]) if isinstance(row.get("id"), str) and row["id"] else f"number {number}"


def _unit(row: Mapping[str, Any], where: str) -> SuiteUnit:
    keys = ("id", "layer", "meaning", "family", "part", "null", "control", "noise", "writes")
    _check_keys(row, keys, where)
    name = _text(row, "id", where, required=True)
    layer = _count({"layer": row.get("layer")}, "layer", where, "a whole number from 0 on")
    present = [key for key in ("part", "null", "control") if row.get(key)]
    if len(present) != 1:
        content = " and ".join(present) or "nothing to fire on"
        _invalid(where, f"has {content}; give one of [[unit.part]], null or control")
    parts = _parts(row, where) if present == ["part"] else ()
    meaning = _text(row, "meaning", where, required=bool(parts))
    null = _kind(row, "null", NULLS, where)
    control = _kind(row, "control", CONTROLS, where)
    if not parts and (row.get("noise") is not None or row.get("writes") is not None):
        _invalid(where, f"a {present[0]} takes no noise and no writes; only planted units do")
    family = _text(row, "family", where) or family_of(name)
    return SuiteUnit(name, layer, meaning, family, parts, null, control)


def family_of(id: str) -> str:
    """The family in an id: its part before a slash, else the id without a number at its end."""
    before, slash, _ = id.partition("/")
    return before if slash else id.rstrip("0123456789").rstrip("-_. ") or id


def _parts(row: Mapping[str, Any], where: str) -> tuple[PlantedPart, ...]:
    parts = row["part"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        _invalid(where, "part is not a table; write [[unit.part]]")
    shared = {key: row[key] for key in ("noise", "writes") if key in row}
    return tuple(
        _part(shared | part, f"{where}, part {number}")
        for number, part in enumerate(parts, start=1)
    )


def _part(row: Mapping[str, Any], where: str) -> PlantedPart:
    _check_keys(row, [field.name for field in fields(PlantedPart)], where)
    match = _text(row, "match", where, required=True)
    side, repeated = row.get("side", "+"), row.get("repeated", False)
    if side not in ("+", "-"):
        _invalid(where, f'side is {side!r}; expected "+" or "-"')
    strength, noise = _number(row, "strength", 1.0, where), _number(row, "noise", 0.0, where)
    if strength <= 0:
        _invalid(where, f"strength is {strength!r}; expected a number above 0 (side is its sign)")
    if noise < 0:
        _invalid(where, f"noise is {noise!r}; expected a share of the largest strength, 0 or more")
    hold = _count(row, "hold", where, "a number of tokens, 0 or more")
    if not isinstance(repeated, bool):
        _invalid(where, f"repeated is {repeated!r}; expected true or false")
    positions = _positions(row.get("positions"), where)
    writes = _text(row, "writes", where)
    part = PlantedPart(match, side, strength, hold, noise, writes, repeated, positions)
    try:
        _ = part.pattern
    except re2.error as error:
        message = error.args[0] if error.args else error
        reason = message.decode() if isinstance(message, bytes) else error
        _invalid(
            where,
            f"the pattern {part.match!r} is not valid RE2 ({reason}); "
            "RE2 has no look-around or backreference",
        )
    return part


def _positions(value: object, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    is_pair = isinstance(value, list) and len(value) == 2 and all(_is_whole(v) for v in value)
    first, last = cast("list[int]", value) if is_pair else (-1, -1)
    if not 0 <= first <= last:
        _invalid(
            where,
            f"positions is {value!r}; expected [first, last], "
            "token positions of a context from 0 on",
        )
    return first, last


def _kind(row: Mapping[str, Any], key: str, kinds: Sequence[str], where: str) -> str:
    """The kind of a null or control, with its source if it has one."""
    text = _text(row, key, where)
    kind, colon, source = text.partition(":")
    if text and (kind not in kinds or bool(colon) != (kind in SOURCED)):
        forms = [f'"{name}:mlp.9.33"' if name in SOURCED else f'"{name}"' for name in kinds]
        _invalid(where, f"{key} is {text!r}; expected {', '.join(forms)}")
    if source:
        try:
            Unit.parse(source)
        except UsageError as error:
            _invalid(where, f"{key} is {text!r}: {error}")
    return text


def _check_keys(row: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    keys = list(keys)
    if unknown := [key for key in row if key not in keys]:
        _invalid(where, f"unknown key {unknown[0]!r}; known are {', '.join(keys)}")


def _text(row: Mapping[str, Any], key: str, where: str, *, required: bool = False) -> str:
    value = row.get(key, "")
    if not isinstance(value, str) or (required and not value.strip()):
        _invalid(where, f"{key} is {value!r}; expected text" if key in row else f"{key} is missing")
    return value


def _number(row: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = row.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _invalid(where, f"{key} is {value!r}; expected a number")
    return float(cast(float, value))


def _count(row: Mapping[str, Any], key: str, where: str, expected: str) -> int:
    value = row.get(key, 0)
    if not _is_whole(value) or value < 0:
        _invalid(where, f"{key} is {value!r}; expected {expected}")
    return value


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _invalid(where: str, problem: str) -> NoReturn:
    raise UsageError(f"{where}: {problem}")
