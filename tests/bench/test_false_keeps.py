"""The false keeps shown with a run: only from runs of nulls with the same explainer, weights and text."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.run_rows import FalseKeeps, run_rows
from hubel.agent.review.store.fill import fill
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.runlog.config import RunConfig
from hubel.evals.statistics.fdr import wilson
from hubel.tools.errors import CorruptError
from hubel.tools.subject.subject import Subject
from tests.support.configs import changed, run_config


@pytest.fixture(scope="module")
def made(tiny_index: Path, tiny: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    width = (
        tiny.shape.n_neurons if isinstance(tiny.shape.n_neurons, int) else tiny.shape.n_neurons[0]
    )
    kinds = ("noise", "noise", "shuffled:mlp.0.1", "rotated")
    nulls = {f"mlp.0.{width + n}": kind for n, kind in enumerate(kinds)}
    common: dict[str, Any] = {"index": str(tiny_index), "explainer": "ten-tokens"}
    for name, config in (
        ("real", run_config(targets=["mlp.0.0-2"], **common)),
        ("nulls", run_config(targets=[*nulls], nulls=nulls, **common)),
    ):
        make_run(runs / name, resolve(config))
        execute_run(runs / name, subject=tiny)
    return runs


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def false_keeps(runs: Path) -> FalseKeeps | None:
    """What the page says with the real run."""
    library = RunCatalog(runs)
    for name in library.names():
        run = library.run(name, fresh=False)
        with suppress(CorruptError):  # of one the setting cannot be read: it says nothing
            fill(run.store)
    rate = next(row.false_keeps for row in run_rows(library) if row.name == "real")
    library.close()
    return rate


def test_rates_of_the_nulls_are_shown_with_the_run(runs: Path) -> None:
    rate = wilson(0, 3)
    assert false_keeps(runs) == {
        "kept": 0,
        "of": 3,
        "rate": 0.0,
        "low": rate.low,
        "high": rate.high,
    }


@pytest.mark.parametrize("field", ["explainer", "corpus", "subject"])
def test_runs_with_other_settings_are_not_compared(runs: Path, field: str) -> None:
    config = RunConfig.load(runs / "nulls")
    other: dict[str, Any] = {
        "explainer": "scripted",
        "corpus": {"name": "x", "sha256": "y"},
        "subject": {"name": "x", "revision": "y"},
    }
    changed(config, **{field: other[field]}).save(runs / "nulls")
    assert false_keeps(runs) is None


def test_an_unfinished_or_unreadable_run_says_nothing(runs: Path) -> None:
    shutil.rmtree(runs / "nulls" / "events")
    assert false_keeps(runs) is None
    (runs / "nulls" / "config.toml").write_text("not = [toml")
    assert false_keeps(runs) is None
