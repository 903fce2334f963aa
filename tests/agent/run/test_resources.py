"""What a run needs is made when it is needed, fails early, and is the run's own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.run.resources import RunResources, identity_of
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.model_config import BudgetConfig, ModelConfig
from hubel.agent.runlog.progress import Reporter
from hubel.tools.errors import BudgetReached, UsageError
from hubel.tools.index import Index
from tests.support.tiny import tiny_subject


def resources_of(folder: Path, loaded: Any = None, **settings: Any) -> RunResources:
    config = RunConfig(**({"index": "none", "targets": ["mlp.0.0"]} | settings))
    return RunResources(folder, config, RunLog(folder), Reporter(), loaded, None, None)


def test_a_subject_with_other_weights_is_refused(tmp_path: Path) -> None:
    recorded = {"name": "tiny", "revision": "f" * 16}
    with pytest.raises(UsageError, match="weights"):
        resources_of(tmp_path, tiny_subject(), subject=recorded).subject()


def test_another_index_in_the_place_of_the_runs_is_refused(
    tiny_index: Path, tmp_path: Path
) -> None:
    index = Index.open(tiny_index)
    subject = {"title": index.subject_title, "revision": index.subject_revision}
    corpus = {"name": index.corpus_name, "sha256": index.corpus_sha256}
    settings = {"index": str(tiny_index), "subject": subject}
    assert resources_of(tmp_path, corpus=corpus, **settings).index().corpus_name == corpus["name"]
    with pytest.raises(UsageError, match=r"is now an index of .*put that one back"):
        resources_of(tmp_path, corpus=corpus | {"sha256": "1" * 64}, **settings).index()


def test_a_missing_key_is_noticed_before_a_subject_is_loaded(tmp_path: Path) -> None:
    with (
        closing(resources_of(tmp_path, explainer=ModelConfig("openai:test"))) as resources,
        pytest.raises(UsageError, match="OPENAI_API_KEY"),
    ):
        resources.driver()


def test_the_budget_counts_what_was_paid_before(tmp_path: Path) -> None:
    resources = resources_of(tmp_path, budget=BudgetConfig({"calls": 2}))
    row = {"input_tokens": 5, "output_tokens": 1, "usd": None, "seconds": 0.1}
    for id in ("a", "b"):
        resources._log.write("llm_call", row, target="mlp.0.0", id=id)
    with pytest.raises(BudgetReached):
        resources.budget().admit("mlp.0.0")


def test_the_log_records_what_a_replay_needs_of_an_explainer() -> None:
    from hubel.agent.explainers.ten_tokens import TenTokens

    assert identity_of(TenTokens()) == {
        "name": "ten-tokens",
        "version": "1",
        "revises": False,
        "converses": False,
        "moves_a_round": 4,
    }
