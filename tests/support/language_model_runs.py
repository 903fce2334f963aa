"""Runs of language models that are made in the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.run.execute import RunResult, execute_run, make_run, resolve
from hubel.agent.runlog.model_config import BudgetConfig
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.scripted_model import ScriptedModel

RunModel = Callable[..., tuple[Path, RunResult]]


@pytest.fixture
def run_model(tmp_path: Path, tiny: Subject, tiny_index: Path) -> RunModel:
    """Make a run and take it to its end, or take it further when it is there."""

    def run(
        model: ScriptedModel | None,
        targets: list[str] | None = None,
        limits: BudgetConfig | None = None,
        **settings: Any,
    ) -> tuple[Path, RunResult]:
        folder = tmp_path / "run"
        if not folder.exists():
            settings = {
                "index": str(tiny_index),
                "competitor": False,
                "max_contexts": 300,
            } | settings
            settings = {"explainer": "openai:test"} | settings
            config = run_config(targets=targets or ["mlp.0.0"], **settings)
            make_run(folder, resolve(config))
        return folder, execute_run(folder, subject=tiny, model=model, limits=limits)

    return run
