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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn

import re2
from pydantic import AfterValidator, Field

from ...errors import UsageError
from ...files.settings_file import parse_settings, read_settings_text
from ...files.strict_table import STRICT, read_strictly
from ..address import Unit

NULLS = ("noise", "shuffled")
CONTROLS = ("rotated", "redrawn")
SOURCED = ("shuffled", "redrawn")
"""Kinds that name the real unit they are derived from."""


def _check_order(positions: tuple[int, int]) -> tuple[int, int]:
    if positions[0] > positions[1]:
        raise ValueError("the first position is after the last one")
    return positions


Text = Annotated[str, Field(pattern=r"\S")]
Count = Annotated[int, Field(ge=0)]
Positions = Annotated[tuple[Count, Count], AfterValidator(_check_order)]


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

    match: Text
    side: Literal["+", "-"] = "+"
    strength: Annotated[float, Field(gt=0)] = 1.0
    hold: Count = 0
    noise: Annotated[float, Field(ge=0)] = 0.0
    writes: str = ""
    repeated: bool = False
    positions: Positions | None = None
    __pydantic_config__: ClassVar = STRICT

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
    missing = f"no suite at {str(path)!r}; give a TOML file of [[unit]] tables"
    return parse_suite(read_settings_text(path, missing), str(path))


def parse_suite(text: str, origin: str = "suite") -> Suite:
    """Parse a suite; `origin` is its name in messages. Raises UsageError."""
    file = read_strictly(_SuiteFile, parse_settings(text, origin), origin)
    if not file.unit:
        raise UsageError(f"{origin} has no units; add at least one [[unit]] table")
    units: list[SuiteUnit] = []
    for number, row in enumerate(file.unit, start=1):
        label = repr(row["id"]) if isinstance(row.get("id"), str) else f"number {number}"
        units.append(_unit(row, f"{origin}: unit {label}"))
    ids = [unit.id for unit in units]
    if len(set(ids)) < len(ids):
        duplicate = next(id for id in ids if ids.count(id) > 1)
        raise UsageError(f"{origin}: two units have the id {duplicate!r}; give each its own")
    return Suite(tuple(units), file.seed, origin, text)


@dataclass
class _SuiteFile:
    unit: list[dict[str, Any]] = field(default_factory=list)
    seed: Count = 0
    __pydantic_config__: ClassVar = STRICT


@dataclass
class _UnitRow:
    """A [[unit]] table; its `noise` and `writes` are defaults for its parts."""

    id: Text
    layer: Count
    meaning: str = ""
    family: str = ""
    part: list[dict[str, Any]] = field(default_factory=list)
    null: str = ""
    control: str = ""
    noise: object = None
    writes: object = None
    __pydantic_config__: ClassVar = STRICT


def _unit(table: Mapping[str, Any], where: str) -> SuiteUnit:
    row = read_strictly(_UnitRow, table, where)
    present = [key for key in ("part", "null", "control") if table.get(key)]
    if len(present) != 1:
        content = " and ".join(present) or "nothing to fire on"
        _invalid(where, f"has {content}; give one of [[unit.part]], null or control")
    shared = {key: table[key] for key in ("noise", "writes") if key in table}
    if shared and not row.part:
        _invalid(where, f"a {present[0]} takes no noise and no writes; only planted units do")
    if row.part and not row.meaning.strip():
        _invalid(where, "meaning is missing")
    parts = [
        _part(shared | part, f"{where}, part {number}") for number, part in enumerate(row.part, 1)
    ]
    _check_kind(row.null, "null", NULLS, where)
    _check_kind(row.control, "control", CONTROLS, where)
    family = row.family or family_of(row.id)
    return SuiteUnit(row.id, row.layer, row.meaning, family, tuple(parts), row.null, row.control)


def family_of(id: str) -> str:
    """The family in an id: its part before a slash, else the id without a number at its end."""
    before, slash, _ = id.partition("/")
    return before if slash else id.rstrip("0123456789").rstrip("-_. ") or id


def _part(table: Mapping[str, Any], where: str) -> PlantedPart:
    part = read_strictly(PlantedPart, table, where)
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


def _check_kind(text: str, key: str, kinds: Sequence[str], where: str) -> None:
    kind, colon, source = text.partition(":")
    if text and (kind not in kinds or bool(colon) != (kind in SOURCED)):
        forms = [f'"{name}:mlp.9.33"' if name in SOURCED else f'"{name}"' for name in kinds]
        _invalid(where, f"{key} is {text!r}; expected {', '.join(forms)}")
    if source:
        try:
            Unit.parse(source)
        except UsageError as error:
            _invalid(where, f"{key} is {text!r}: {error}")


def _invalid(where: str, problem: str) -> NoReturn:
    raise UsageError(f"{where}: {problem}")
