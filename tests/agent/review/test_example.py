"""The runs that come along: small, whole, and shown by `hubel review` with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import hubel
from hubel.agent.circuits.replay import replay_circuit
from hubel.agent.explainers import make_explainer
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.run_rows import run_rows
from hubel.agent.review.target_page import target_page
from hubel.agent.review.transcript_page import transcript_page
from hubel.agent.run.replay import replay
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog
from hubel.tools.errors import CorruptError

RUNS = Path(hubel.__file__).parent / "runs"
MODEL = "example-model"


@pytest.fixture(scope="module")
def library() -> RunCatalog:
    return RunCatalog(RUNS, [str(RUNS / name) for name in ("example", MODEL, "example-circuit")])


def test_example_runs_are_small() -> None:
    sizes = [
        path.stat().st_size
        for folder in RUNS.glob("example*")
        for path in folder.rglob("*")
        if path.is_file()
    ]
    assert sum(sizes) < 2_500_000  # half of it are the tags of words, with which they replay


def test_examples_have_a_run_of_each_kind(library: RunCatalog) -> None:
    rows = {row.name: row for row in run_rows(library)}
    assert {row.explainer for row in rows.values()} == {"compositional", "openai:beginner"}
    assert [row.notice for row in rows.values()] == [None] * 3
    assert (rows["example"].kept or 0) > 0
    assert rows["example-circuit"].kind == "circuit"
    assert rows["example-circuit"].verdict


def test_formula_search_example_replays() -> None:
    assert replay(RUNS / "example").mismatches == []


@pytest.mark.slow
def test_language_model_example_replays_with_its_explainer_version() -> None:
    identity = RunLog(RUNS / MODEL, writable=False).get("explainer") or {}
    version = make_explainer(identity["name"], RunConfig.load(RUNS / MODEL)).version
    if version == identity["version"]:
        assert replay(RUNS / MODEL).mismatches == []
    else:  # it can still be read, and tests.support.example_runs makes it again
        with pytest.raises(CorruptError, match="was made by version"):
            replay(RUNS / MODEL)


def test_example_target_fills_every_section(library: RunCatalog) -> None:
    page = target_page(library.run("example"), "mlp.20.977")
    assert page["histogram"]
    assert page["nearest"]
    assert page["reviews"]
    assert page["writes"]["promoted"]
    assert page["exemplars"]["+"]
    turns = transcript_page(library.run(MODEL), "mlp.20.977", 0, 50)["turns"]
    assert {turn["kind"] for turn in turns} == {"program", "model", "second look"}


def test_the_example_circuit_says_that_it_has_no_log_to_replay() -> None:
    with pytest.raises(CorruptError, match="example-circuit is a circuit without its log"):
        replay_circuit(RUNS / "example-circuit")
