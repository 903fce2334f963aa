"""What the investigations of a run share: parsed targets, seeds, and being asked to stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.runlog.config import target_seed
from hubel.agent.runlog.stopping import Stopped
from hubel.tools.subject.address import Unit
from tests.support.made_investigation import WORDS, made_context


def test_targets_are_parsed_once_and_found_by_address(tmp_path: Path) -> None:
    context = made_context(tmp_path, nulls={"mlp.0.1": "noise"})
    assert context.units == {target: Unit.parse(target) for target in WORDS}
    assert [context.is_null(unit) for unit in context.units.values()] == [False, True, False, False]


def test_a_targets_seed_rests_on_the_runs_seed_and_the_address(tmp_path: Path) -> None:
    context = made_context(tmp_path, seed=3)
    seeds = {context.seed(unit) for unit in context.units.values()}
    assert len(seeds) == len(WORDS)
    assert context.seed(context.units["mlp.1.0-"]) == target_seed(3, "mlp.1.0-")
    # Earlier runs were scored with these seeds, and must be when they are replayed.
    assert target_seed(0, "mlp.12.803") == int.from_bytes(bytes.fromhex("cf12c1b9"), "big")


def test_between_steps_a_run_can_be_stopped(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    context.raise_if_stopped()
    context.stopped.set()
    with pytest.raises(Stopped):
        context.raise_if_stopped()
