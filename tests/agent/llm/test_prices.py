"""Prices: what is given stands first, then a user's file, then the one that comes along; else none."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hubel.agent.llm import prices
from hubel.agent.llm.prices import known_price
from hubel.tools.errors import UsageError

OWN = '[[price]]\nmodel = "openai:mine"\ninput = 1\noutput = 2\ndate = "2026-01-31"\nsource = "my bill"\n'


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("HUBEL_PRICES", raising=False)


def test_every_price_that_comes_along_has_a_source_and_a_date() -> None:
    entries = tomllib.loads((Path(prices.__file__).parent / "prices.toml").read_text())["price"]
    assert entries
    for entry in entries:
        assert entry["date"]
        assert entry["source"]
        price = known_price(entry["model"])
        assert price is not None
        assert entry["date"] in price.origin
        assert known_price(entry["model"], "http://127.0.0.1:8000/v1") is None


def test_an_unknown_model_has_no_price() -> None:
    assert known_price("openai:there-is-no-such-model") is None


def test_a_users_own_file_stands_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hubel").mkdir()
    (tmp_path / "hubel" / "prices.toml").write_text(OWN)
    price = known_price("openai:mine", "http://127.0.0.1:8000/v1")
    assert price is not None
    assert price.price == {"input": 1.0, "output": 2.0}
    assert "my bill" in price.origin
    other = tmp_path / "other.toml"
    other.write_text(OWN.replace("input = 1", "input = 5"))
    monkeypatch.setenv("HUBEL_PRICES", str(other))
    price = known_price("openai:mine")
    assert price is not None
    assert price.price["input"] == 5.0


@pytest.mark.parametrize(
    "text",
    [
        "price = 3",
        "[[price",
        OWN.replace("output = 2", ""),
        OWN.replace("input = 1", 'input = "a"'),
    ],
)
def test_an_invalid_price_file_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    monkeypatch.setenv("HUBEL_PRICES", str(file))
    with pytest.raises(UsageError):
        known_price("openai:mine")
    monkeypatch.setenv("HUBEL_PRICES", str(tmp_path / "nowhere.toml"))
    with pytest.raises(UsageError, match="no such file"):
        known_price("openai:mine")
