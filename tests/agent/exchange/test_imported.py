"""An imported set on disk: what is written is read, nothing can be changed unnoticed, none is half there."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from hubel.agent.exchange.config import ImportConfig
from hubel.agent.exchange.imported import read_set, read_units, write_set
from hubel.agent.exchange.records import (
    ExplainedUnit,
    ExplanationSet,
    RecordedScore,
    SaidTurn,
    SeenText,
    SetOrigin,
    TokenLogit,
    unit_of_row,
    unit_row,
)
from hubel.agent.run.verify_run import verify_run
from hubel.tools.errors import CorruptError, UsageError

CONFIG = ImportConfig("somewhere/file.jsonl", "jsonl")


def full_unit() -> ExplainedUnit:
    """A unit with a value in every field."""
    seen = SeenText(
        (" a", "b\n"), (0.1, -2.5), "scored", "quantile 3", "fuzz", True, False, (1.0, 0.0), (5, 9)
    )
    score = RecordedScore(
        "simulation",
        0.1 + 0.2,
        "holdout",
        "random",
        -0.1,
        0.4,
        {"shuffled": 0.0, "other": None},
        "m",
    )
    return ExplainedUnit(
        "mlp.1.5-", "layers.1 latent 5", "Fires on ‹é›.", 'strongly words("é")', "gist", "headline",
        "someone", "done", "", "kept", "why", "clear", 1e-300, (seen, SeenText((" x",))), (score,),
        (TokenLogit(" up", 1.5),), (TokenLogit(" down", -1.5),), {"density": 0.25}, (SaidTurn("user", "hello"),),
    )  # fmt: skip


def small_set() -> ExplanationSet:
    """Two units, the second of which failed."""
    failed = ExplainedUnit("mlp.1.6", status="failed", error="refused")
    origin = SetOrigin("jsonl", "file.jsonl", "tool 1", "tiny", "abc", "lee", "x", 3, "2026-01-01")
    return ExplanationSet(
        "set", origin, (full_unit(), failed), ("a holdout",), ("one was assumed",)
    )


def test_a_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_set(tmp_path / "set", small_set(), CONFIG)
    assert read_set(tmp_path / "set") == small_set()
    assert read_units(tmp_path / "set", 1, 5) == list(small_set().units[1:])
    assert ImportConfig.load(tmp_path / "set").source_format == "jsonl"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    verification = verify_run(tmp_path / "set")
    assert (verification.holds, verification.files) == (True, 2)


def test_a_changed_or_missing_file_is_noticed(tmp_path: Path) -> None:
    for name in ("explanations.jsonl", "config.toml"):
        folder = tmp_path / name.partition(".")[0]
        write_set(folder, small_set(), CONFIG)
        path = folder / name
        path.write_text(path.read_text().replace("file.jsonl", "fake.jsonl"))
        with pytest.raises(CorruptError, match="was changed after it was written"):
            read_set(folder)
        assert not verify_run(folder).holds


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    write_set(tmp_path / "set", small_set(), CONFIG)
    with pytest.raises(UsageError, match="is there already"):
        write_set(tmp_path / "set", small_set(), CONFIG)


@pytest.mark.parametrize(
    "change",
    [
        {"texts": [{"tokens": ["a"], "values": [1.0, 2.0]}]},
        {"texts": [{"tokens": ["a"], "values": [math.nan]}]},
        {"scores": [{"scorer": "s", "value": math.inf}]},
        {"scores": [{"scorer": "s"}]},
        {"surprise": 1},
    ],
)
def test_a_row_that_is_no_unit_is_refused(change: dict[str, object]) -> None:
    row = json.loads(json.dumps(unit_row(full_unit())))
    assert unit_of_row(row) == full_unit()
    with pytest.raises(CorruptError):
        unit_of_row(row | change)
