from __future__ import annotations

from pathlib import Path

import pytest

from hubel.bench.planted import PROJECT_SUITE
from hubel.tools.errors import UsageError
from hubel.tools.subject.planted_units import PlantedPart, parse_suite, read_suite
from hubel.tools.subject.planted_units.suite import family_of

WEEKDAYS = """
seed = 5
[[unit]]
id = "weekdays"
layer = 6
meaning = "days of the week"
[[unit.part]]
match = '\\b(?:Mon|Tues)day\\b'
side = "-"
strength = 3.0
hold = 2
noise = 0.05
writes = " calendar"
[[unit.part]]
match = 'x'
strength = 4
[[unit]]
id = "null-1"
layer = 6
null = "shuffled:mlp.9.33"
[[unit]]
id = "turned"
layer = 2
control = "rotated"
"""


def test_a_suite_in_the_form_of_the_contract_is_read() -> None:
    suite = parse_suite(WEEKDAYS)
    weekdays, null, control = suite.units
    assert suite.seed == 5
    assert suite.layers == [2, 6]
    assert weekdays.parts[0] == PlantedPart(r"\b(?:Mon|Tues)day\b", "-", 3.0, 2, 0.05, " calendar")
    assert weekdays.parts[0].activation == -3
    assert weekdays.parts[1] == PlantedPart("x", "+", 4.0)
    assert (weekdays.strongest, weekdays.weakest, weekdays.noise) == (4.0, 3.0, 0.05 * 4)
    assert [unit.kind for unit in suite.units] == ["planted", "null", "control"]
    assert [unit.family for unit in suite.units] == ["weekdays", "null", "turned"]
    assert (null.null, control.control) == ("shuffled:mlp.9.33", "rotated")


def test_noise_and_writes_may_stand_on_the_unit_for_all_its_parts() -> None:
    suite = parse_suite(
        WEEKDAYS.replace('meaning = "days', 'noise = 0.2\nwrites = " week"\nmeaning = "days')
    )
    first, second = suite.units[0].parts
    assert (first.noise, first.writes) == (0.05, " calendar")
    assert (second.noise, second.writes) == (0.2, " week")
    assert suite.units[0].noise == pytest.approx(0.8)


def test_a_familys_name_is_in_the_id() -> None:
    assert [family_of(id) for id in ("casing/acronyms", "null-17", "null 3", "years", "12")] == [
        "casing", "null", "null", "years", "12",
    ]  # fmt: skip
    assert (
        parse_suite(WEEKDAYS.replace("layer = 6\nm", 'layer = 6\nfamily = "dates"\nm'))
        .units[0]
        .family
        == "dates"
    )


def test_another_text_has_another_digest() -> None:
    assert parse_suite(WEEKDAYS).digest == parse_suite(WEEKDAYS).digest
    assert parse_suite(WEEKDAYS).digest != parse_suite(WEEKDAYS.replace("3.0", "3.5")).digest


BAD = {
    "bad pattern": (r"'\b(?:Mon|Tues)day\b'", "'(Mon'", "weekdays.*part 1.*'\\(Mon'.*RE2"),
    "look-around": (r"'\b(?:Mon|Tues)day\b'", "'(?=x)'", "weekdays.*part 1.*RE2"),
    "backreference": (r"'\b(?:Mon|Tues)day\b'", r"'(a)\1'", "weekdays.*part 1.*backreference"),
    "no pattern": (r"match = '\b(?:Mon|Tues)day\b'", "", "weekdays.*part 1.*match is missing"),
    "unknown key": ("hold = 2", "hlod = 2", "weekdays.*'hlod'.*hold"),
    "unknown key of a unit": ('id = "turned"', 'id = "turned"\ncolour = 1', "turned.*'colour'"),
    "unknown key at the top": ("seed = 5", "sede = 5", "'sede'"),
    "side": ('side = "-"', 'side = "up"', "weekdays.*'up'"),
    "strength": ("strength = 3.0", "strength = 0", "weekdays.*strength is 0"),
    "strength that is no number": ("strength = 3.0", 'strength = "3"', "weekdays.*strength is '3'"),
    "hold": ("hold = 2", "hold = -1", "weekdays.*hold is -1"),
    "noise": ("noise = 0.05", "noise = -0.05", "weekdays.*noise is -0.05"),
    "no layer": ('id = "turned"\nlayer = 2', 'id = "turned"', "turned.*layer is missing"),
    "negative layer": ("layer = 2", "layer = -2", "turned.*layer is -2"),
    "no meaning": ('meaning = "days of the week"', "", "weekdays.*meaning is missing"),
    "nothing to fire on": ('control = "rotated"', "", "turned.*nothing to fire on"),
    "two things at once": (
        'control = "rotated"',
        'control = "rotated"\nnull = "noise"',
        "turned.*null and control",
    ),
    "null": ('null = "shuffled:mlp.9.33"', 'null = "pink"', "null-1.*'pink'"),
    "null without source": (
        'null = "shuffled:mlp.9.33"',
        'null = "shuffled"',
        "null-1.*'shuffled'",
    ),
    "null of a bad source": (
        'null = "shuffled:mlp.9.33"',
        'null = "shuffled:mlp.x"',
        "null-1.*'mlp.x'",
    ),
    "control": ('control = "rotated"', 'control = "noise"', "turned.*'noise'"),
    "doubled id": ('id = "turned"', 'id = "null-1"', "two units.*'null-1'"),
    "no id": ('id = "turned"', "", "number 3.*id is missing"),
    "seed": ("seed = 5", "seed = -1", "seed is -1"),
    "positions": ("hold = 2", "positions = [5, 2]", r"weekdays.*positions is \[5, 2\]"),
    "repeated": ("hold = 2", "repeated = 1", "weekdays.*repeated is 1"),
    "not TOML": ("seed = 5", "seed = = 5", "not TOML"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_suite_is_refused_with_the_unit_and_the_reason(name: str) -> None:
    old, new, message = BAD[name]
    assert old in WEEKDAYS
    with pytest.raises(UsageError, match=f"(?s){message}"):
        parse_suite(WEEKDAYS.replace(old, new, 1))


def test_a_suite_that_is_missing_empty_or_binary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no suite at"):
        read_suite(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="has no units"):
        parse_suite("seed = 1")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is UTF-16 or binary; expected UTF-8"):
        read_suite(tmp_path / "binary.toml")


def test_the_projects_own_suite_has_what_it_must_have() -> None:
    suite = read_suite(PROJECT_SUITE)
    planted = [unit for unit in suite.units if unit.kind == "planted"]
    assert len(planted) >= 60
    assert len({unit.family for unit in planted}) >= 12
    assert sum(unit.null == "noise" for unit in suite.units) == 50
    assert sum(unit.null.startswith("shuffled") for unit in suite.units) == 50
    assert sum(bool(unit.control) for unit in suite.units) == 20
    assert len(suite.layers) >= 4
    sides = {part.side for unit in planted for part in unit.parts}
    assert sides == {"+", "-"}
