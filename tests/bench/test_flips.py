"""A short form of the flip soak; `hubel bench soak --flips 500` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.bench.soak import fixtures
from hubel.bench.soak.flips import (
    OUTCOMES,
    CommandResult,
    FlipTally,
    flip_bits,
    kind_of,
    outcome_of,
)
from hubel.bench.soak.fork_server import ForkServer


@pytest.mark.slow
def test_flipped_bits_are_noticed_or_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", "put back after the test")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fixtures.isolate(tmp_path)
    with ForkServer(tmp_path) as server:
        tally = flip_bits(tmp_path, server, 16, 0, lambda n: None, ("index", "unfinished index"))
    assert (tally.count("silent"), tally.count("traceback")) == (0, 0), tally.notes
    assert tally.flips == 16
    assert tally.count("noticed") > 5


def test_outcomes_of_a_flip() -> None:
    expected = CommandResult(0, "r 0.2", "")
    outcomes = {
        "harmless": expected,
        "cured": CommandResult(0, "r 0.2", "collected again"),
        "noticed": CommandResult(1, "", "hubel: x is damaged"),
        "traceback": CommandResult(1, "", "Traceback (most recent call last):"),
        "silent": CommandResult(0, "r 0.3", "a warning"),
    }
    assert {name: outcome_of(result, expected) for name, result in outcomes.items()} == {
        name: name for name in OUTCOMES
    }
    assert outcome_of(CommandResult(-11, "", ""), expected) == "traceback"
    assert outcome_of(CommandResult(1, "", ""), expected) == "traceback"  # no message
    tally = FlipTally()
    tally.add("index: index.json", "silent", "bit 3")
    assert (tally.flips, tally.count("silent"), len(tally.notes)) == (1, 1, 1)


def test_files_are_grouped_by_kind() -> None:
    kinds = {
        "explore/exemplars/mlp-12.parquet": "explore/exemplars/*.parquet",
        "events/0001-10073.jsonl": "events/*.jsonl",
        "collected/holdout.safetensors": "collected/holdout.safetensors",
        "lexicons/cefa3d563392fc6d/lexicon.json.gz": "lexicons/*/lexicon.json.gz",
        "index.json": "index.json",
    }
    assert {path: kind_of(Path(path)) for path in kinds} == kinds
