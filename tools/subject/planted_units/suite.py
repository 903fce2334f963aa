"""Suites of planted units: the file that says what each unit fires on, read and checked before
anything is loaded.

A unit is one of three things:
    planted     parts, each a pattern (RE2) with a side and a strength; several parts add up
    null        nothing to explain: "noise" or "shuffled:mlp.9.33"
    control     something to explain that no model learned: "rotated" or "redrawn:mlp.6.33"

Two conditions on a match go beyond RE2, which has no backreferences and knows nothing of contexts
(see `docs/design/planted-units.md`): `repeated` and `positions`. This module needs no torch.
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
"""Kinds that name the real unit that they are made from."""


@dataclass(frozen=True)
class PlantedPart:
    """One thing that a planted unit fires on.

    Attributes:
        match: RE2; of a match, its group 1 where it has one.
        strength: the activation, above 0; `side` gives its sign.
        hold: so many further tokens stay active after the match, up to the context's end.
        noise: standard deviation as a share of the unit's largest strength; of several parts the largest counts.
        writes: the token whose unembedding the unit adds to the residual stream; "" for none.
        repeated: only matches whose text has matched earlier in the same context.
        positions: only matches that begin at these token positions of their context, first and last.
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
        """What the unit has where only this part fires."""
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
        family: for the report; without one it is the id without a number at its end, or what stands before a slash.
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
        """Which of the three things it is."""
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
        UsageError: there is no such file, it is no TOML, or a unit is off; the message names the unit and says why.
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
            f"{path} is no UTF-8 text ({error.reason} at byte {error.start}); give a TOML file"
        ) from None


def parse_suite(text: str, origin: str = "suite") -> Suite:
    """A suite from its text; `origin` is what messages call it. Raises UsageError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin} is no TOML: {error}") from None
    _known(data, ("seed", "unit"), origin)
    seed, rows = data.get("seed", 0), data.get("unit", [])
    if not _is_whole(seed) or seed < 0:
        raise UsageError(f"{origin}: seed is {seed!r}; expected a whole number from 0 on")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{origin} has no units; add at least one [[unit]] table")
    units = tuple(
        _unit(row, f"{origin}: unit {_label(row, number)}")
        for number, row in enumerate(rows, start=1)
    )
    ids = [unit.id for unit in units]
    if len(set(ids)) < len(ids):
        twice = next(id for id in ids if ids.count(id) > 1)
        raise UsageError(f"{origin}: two units have the id {twice!r}; give each its own")
    return Suite(units, seed, origin, text)


def _label(row: Mapping[str, Any], number: int) -> str:
    return repr(row["id"]) if isinstance(row.get("id"), str) and row["id"] else f"number {number}"


def _unit(row: Mapping[str, Any], where: str) -> SuiteUnit:
    _known(
        row,
        ("id", "layer", "meaning", "family", "part", "null", "control", "noise", "writes"),
        where,
    )
    name = _text(row, "id", where, required=True)
    if not _is_whole(row.get("layer")) or row["layer"] < 0:
        _off(where, f"layer is {row.get('layer')!r}; expected a whole number from 0 on")
    given = [key for key in ("part", "null", "control") if row.get(key)]
    if len(given) != 1:
        _off(
            where,
            f"has {' and '.join(given) or 'nothing to fire on'}; give one of [[unit.part]], null or control",
        )
    parts = _parts(row, where) if given == ["part"] else ()
    meaning = _text(row, "meaning", where, required=bool(parts))
    null = _made_from(row, "null", NULLS, where)
    control = _made_from(row, "control", CONTROLS, where)
    if not parts and (row.get("noise") is not None or row.get("writes") is not None):
        _off(where, f"a {given[0]} takes no noise and no writes; they belong to planted units")
    family = _text(row, "family", where) or family_of(name)
    return SuiteUnit(name, row["layer"], meaning, family, parts, null, control)


def family_of(id: str) -> str:
    """The family that an id tells: what stands before a slash, else the id without a number at its end."""
    before, slash, _ = id.partition("/")
    return before if slash else id.rstrip("0123456789").rstrip("-_. ") or id


def _parts(row: Mapping[str, Any], where: str) -> tuple[PlantedPart, ...]:
    given = row["part"]
    if not isinstance(given, list) or not all(isinstance(part, dict) for part in given):
        _off(where, "part is no table; write [[unit.part]]")
    shared = {key: row[key] for key in ("noise", "writes") if key in row}
    return tuple(
        _part(shared | part, f"{where}, part {number}")
        for number, part in enumerate(given, start=1)
    )


def _part(row: Mapping[str, Any], where: str) -> PlantedPart:
    _known(row, [field.name for field in fields(PlantedPart)], where)
    pattern = _text(row, "match", where, required=True)
    if row.get("side", "+") not in ("+", "-"):
        _off(where, f'side is {row["side"]!r}; expected "+" or "-"')
    strength, noise = _number(row, "strength", 1.0, where), _number(row, "noise", 0.0, where)
    if strength <= 0:
        _off(where, f"strength is {strength!r}; expected a number above 0 (side gives the sign)")
    if noise < 0:
        _off(where, f"noise is {noise!r}; expected a share of the largest strength, 0 or more")
    hold, repeated = row.get("hold", 0), row.get("repeated", False)
    if not _is_whole(hold) or hold < 0:
        _off(where, f"hold is {hold!r}; expected a number of tokens, 0 or more")
    if not isinstance(repeated, bool):
        _off(where, f"repeated is {repeated!r}; expected true or false")
    positions = _positions(row.get("positions"), where)
    writes = _text(row, "writes", where)
    part = PlantedPart(
        pattern, row.get("side", "+"), strength, hold, noise, writes, repeated, positions
    )
    _check_pattern(part, where)
    return part


def _check_pattern(part: PlantedPart, where: str) -> None:
    try:
        _ = part.pattern
    except re2.error as error:
        reason = (
            error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
        )
        _off(
            where,
            f"the pattern {part.match!r} is not valid RE2 ({reason}); RE2 has no look-around or backreference",
        )


def _positions(value: object, where: str) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = (
        value
        if isinstance(value, list) and len(value) == 2 and all(_is_whole(v) for v in value)
        else None
    )
    if pair is None or not 0 <= pair[0] <= pair[1]:
        _off(
            where,
            f"positions is {value!r}; expected [first, last], token positions of a context from 0 on",
        )
    return pair[0], pair[1]


def _made_from(row: Mapping[str, Any], key: str, kinds: Sequence[str], where: str) -> str:
    words = _text(row, key, where)
    kind, colon, source = words.partition(":")
    if words and (kind not in kinds or bool(colon) != (kind in SOURCED)):
        forms = ", ".join(
            f'"{name}:mlp.9.33"' if name in SOURCED else f'"{name}"' for name in kinds
        )
        _off(where, f"{key} is {words!r}; expected {forms}")
    if source:
        try:
            Unit.parse(source)
        except UsageError as error:
            _off(where, f"{key} is {words!r}: {error}")
    return words


def _known(row: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    keys = list(keys)
    if unknown := [key for key in row if key not in keys]:
        _off(where, f"unknown key {unknown[0]!r}; known are {', '.join(keys)}")


def _text(row: Mapping[str, Any], key: str, where: str, *, required: bool = False) -> str:
    value = row.get(key, "")
    if not isinstance(value, str) or (required and not value.strip()):
        _off(where, f"{key} is {value!r}; expected text" if key in row else f"{key} is missing")
    return value


def _number(row: Mapping[str, Any], key: str, default: float, where: str) -> float:
    value = row.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        _off(where, f"{key} is {value!r}; expected a number")
    return float(cast(float, value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _off(where: str, what: str) -> NoReturn:
    raise UsageError(f"{where}: {what}")
