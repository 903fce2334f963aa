"""Settings of a user: every fault is one line that names the file and the key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hubel.agent.explainers import scripted
from hubel.agent.llm.prices import known_price
from hubel.bench.loopback.script import read_script as read_loopback_script
from hubel.evals.judge.offline import read_script as read_judge_script
from hubel.tools.abstraction.question import read_question
from hubel.tools.errors import UsageError
from hubel.tools.files.settings_file import parse_settings, read_settings_file
from hubel.tools.files.strict_table import STRICT, read_strictly
from hubel.tools.subject.address import Shape, parse_targets
from hubel.tools.subject.planted_units.suite import read_suite
from tests.support.configs import run_config

BAD: dict[str, tuple[str, bytes, str]] = {
    "no TOML": ("a.toml", b"a = ", r"a\.toml is not TOML: Invalid value"),
    "no JSON": ("a.json", b"{", r"a\.json is not JSON"),
    "twice": ("a.json", b'{"a": 1, "a": 2}', "the name 'a' is there twice"),
    "TOML twice": ("a.toml", b"a = 1\na = 2", "is not TOML: Cannot overwrite"),
    "utf-16": ("a.toml", "a = 1".encode("utf-16"), "is UTF-16 or binary"),
    "NUL": ("a.toml", b"a = 1\0", "is UTF-16 or binary"),
    "latin-1": ("a.toml", b"a = 1\nb = 'na\xefve'", r"a\.toml:2: byte 0xef is not UTF-8"),
    "nan": ("a.toml", b"[[b]]\na = 1\n[[b]]\na = nan", r"b\[2\]\.a is nan; expected a finite"),
    "infinite": ("a.json", b'{"a": [1, 1e999]}', r"a\[2\] is inf; expected a finite number"),
    "JSON NaN": ("a.json", b'{"a": NaN}', "NaN is not JSON"),
    "large": ("a.toml", b"a = 99999999999999999999", "a is a whole number of more than 64 bits"),
    "digits": ("a.toml", b"a = " + b"9" * 5000, "is not TOML: Exceeds the limit"),
    "surrogate": ("a.json", b'{"a": {"b": "x\\udfff"}}', r"a\.b is '\\udfff' at character 2: half of"),
    "surrogate key": ("a.json", b'{"\\udfff": 1}', "a key is '"),
    "deep JSON": ("a.json", b"[" * 100_000, "nested too deeply"),
    "deep TOML": ("a.toml", b"a = " + b"[" * 100_000, "nested too deeply"),
    "huge": ("a.toml", b"#" * ((1 << 24) + 1), "larger than the 16,777,216 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_settings_are_named(tmp_path: Path, case: str) -> None:
    name, data, message = BAD[case]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message) as caught:
        read_settings_file(tmp_path / name, "none")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_a_byte_order_mark_and_line_ends(tmp_path: Path, line_end: bytes) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbfa = 1" + line_end + b"b = 0")
    assert read_settings_file(tmp_path / "a.toml", "none") == {"a": 1, "b": 0}


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^none$"):
        read_settings_file(tmp_path / "a.toml", "none")
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(UsageError, match="a FIFO"):
        read_settings_file(tmp_path / "a.toml", "none")
    with pytest.raises(UsageError, match="a folder"):
        read_settings_file(tmp_path, "none")


@dataclass
class Table:
    """What a test reads."""

    n: int
    words: list[str]
    __pydantic_config__: ClassVar = STRICT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n = '0'\nwords = []", "here: n is '0'; input should be a valid integer"),
        ("n = 1.0\nwords = []", "here: n is 1.0;"),
        ("n = true\nwords = []", "here: n is True;"),
        ("words = []", "here: n is missing"),
        ("n = 0\nwords = ['a', 0]", "here: words.1 is .*; input should be a valid string"),
        ("n = 0\nword = []", "here: (unknown key 'word'; known are n, words|words is missing)"),
    ],
)
def test_a_table_is_read_strictly(text: str, message: str) -> None:
    assert read_strictly(Table, {"n": 0, "words": []}, "here") == Table(0, [])
    with pytest.raises(UsageError, match=message):
        read_strictly(Table, parse_settings(text, "here"), "here")


QUESTION = (
    'text = "{a} {b}"\ninputs = {a = [0, 1], b = [0, 1]}\nanswers = {0 = " x", 1 = " y"}\n'
    'variables = [{name = "s", op = "add", of = ["a", "b"], modulo = 2}]\n'
)


def question(path: Path) -> Any:
    return read_question(path)


def explainer(path: Path) -> Any:
    return scripted.make(run_config(index="", targets=[], script=str(path)))


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (question, "a.toml", QUESTION, ""),
        (question, "a.toml", QUESTION + "headout = {}", "unknown key 'headout'; known are text"),
        (question, "a.toml", QUESTION.replace('" x"', "0"), "answers.0 is 0; input should be"),
        (question, "a.toml", QUESTION.replace("a = [0, 1]", "a = 0"), "inputs.a is 0;"),
        (question, "a.toml", QUESTION.replace('"{a} {b}"', "0"), "text is 0;"),
        (question, "a.toml", QUESTION.replace('op = "add", ', ""), "not a program: .*'op'"),
        (question, "a.json", "[1]", "expected a table with text"),
        (question, "a.toml", 'text = ""', "text, inputs, variables, answers missing"),
        (read_suite, "a.toml", "unit = 0", "unit is 0;"),
        (read_suite, "a.toml", "sead = 1", "unknown key 'sead'; known are unit, seed"),
        (read_loopback_script, "a.toml", "sead = 1", r"a\.toml: sead: .*known keys are rule"),
        (read_loopback_script, "a.json", "[]", r"a\.json: expected a table"),
        (explainer, "a.json", '{"mlp.0.0": []}', ""),
        (explainer, "a.json", "[]", r"a\.json: expected target -> list of moves"),
        (explainer, "a.json", '{"*": [0]}', r"a\.json: expected target -> list of moves"),
        (read_judge_script, "a.json", '["yes", 0]', "must be a list of answers"),
        (read_judge_script, "a.json", '["\\ud800"]', r"\[1\] is '\\ud800'"),
    ],
)  # fmt: skip
def test_every_reader_names_the_fault(
    tmp_path: Path, read: Any, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    if not message:
        assert read(tmp_path / name)
        return
    with pytest.raises(UsageError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[prices]]\nmodel = 'm'", "expected .*price.* tables"),
        ("price = 3", "expected .*price.* tables"),
        ("price = [0]", "price 1 has no text under `model`"),
        ("[[price]]\nmodel = 0", "price 1 has no text under `model`"),
        ("[[price]]\nmodel = 'm'\ninputs = 1", "the price of m has the unknown key 'inputs'"),
        ("[[price]]\nmodel = 'm'\ninput = '1'\noutput = 1", "m: give input="),
        ("[[price]]\nmodel = 'm'\ninput = nan\noutput = 1", r"price\[1\]\.input is nan"),
    ],
)
def test_a_price_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    monkeypatch.setenv("HUBEL_PRICES", str(tmp_path / "prices.toml"))
    (tmp_path / "prices.toml").write_text("[[price]]\nmodel = 'm'\ninput = 0\noutput = 2\n")
    assert known_price("m").price == {"input": 0.0, "output": 2.0}  # type: ignore[union-attr]
    (tmp_path / "prices.toml").write_text(content)
    with pytest.raises(UsageError, match=message):
        known_price("m")


SHAPE = Shape(n_layers=2, n_neurons=4, n_heads=2, directions={})


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_file_of_targets(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "targets.txt"
    lines = ["# mine", "mlp.0.0, mlp.0.1  # two", "", "head.1.0"]
    path.write_bytes(b"\xef\xbb\xbf" + line_end.join(lines).encode())
    assert [str(unit) for unit in parse_targets(str(path), SHAPE)] == [
        "mlp.0.0",
        "mlp.0.1",
        "head.1.0",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("mlp.0.0".encode("utf-16"), "the text is UTF-16; .*file of targets holds terms"),
        (b"mlp.0.0\n\xef", r"targets\.txt:2: byte 0xef"),
        (b"mlp.0.0\n\0", r"targets\.txt:2: a NUL byte"),
        (b"mlp.0.9", r"mlp\.0\.9"),
    ],
)
def test_a_file_of_targets_with_a_fault(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "targets.txt").write_bytes(data)
    with pytest.raises(UsageError, match=message):
        parse_targets(str(tmp_path / "targets.txt"), SHAPE)


def test_a_very_long_target() -> None:
    with pytest.raises(UsageError, match="is not a unit, range, sample or file of targets"):
        parse_targets("x" * 5000, SHAPE)
