"""An evaluation on a Ray cluster whose worker is killed has the log and the rows of one process."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.engine import EngineChoice, open_engine
from hubel.agent.rescoring.evaluate import evaluate
from hubel.agent.rescoring.plan import RescoringPlan
from hubel.agent.rescoring.sources import open_source
from hubel.agent.run.execute import execute_run
from hubel.agent.runlog.layout import PIECES
from hubel.agent.runlog.lexicon import subject_lexicon
from hubel.agent.runlog.progress import Reporter
from hubel.bench.soak.fixtures import documents, make_soak_run, targets
from hubel.bench.tiny_subject import miniature
from hubel.tools.corpus import corpus_from_documents
from hubel.tools.index import build_index
from hubel.tools.subject import load_subject
from tests.agent.rescoring.test_on_engine import rows
from tests.agent.run.test_on_engine import events


@pytest.mark.slow
def test_an_evaluation_whose_worker_is_killed_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip(
        "ray", reason="the engine of several machines is Ray: pip install 'hubel[ray]'"
    )
    tiny = miniature()
    tiny.model.save_pretrained(tmp_path / "subject")
    tiny.tokenizer.save_pretrained(tmp_path / "subject")
    subject = load_subject(str(tmp_path / "subject"))
    subject_lexicon(lambda: subject, subject.revision)
    build_index(subject, corpus_from_documents("made", documents(), "0" * 64), tmp_path / "index")
    local = make_soak_run(tmp_path / "local" / "run", tmp_path / "index", targets(8))
    execute_run(local, subject=subject)
    remote = Path(shutil.copytree(local, tmp_path / "remote" / "run"))
    plan = RescoringPlan(("simulation", "embedding", "intervention"))
    expected = evaluate(open_source("run", local.parent), plan)
    with open_engine(EngineChoice("ray", workers=2), remote / PIECES) as opened:
        engine: Any = opened

        class Killing(Reporter):
            def update(self, step: str, done: float, *rest: Any, **more: Any) -> None:
                if step == "score" and done == 1:  # all others are still to be done
                    os.kill(engine.living()[0].pid, signal.SIGKILL)

        source = open_source("run", remote.parent)
        actual = evaluate(source, plan, reporter=Killing(), engine=engine)
        assert engine.deaths == 1
    assert rows(actual) == rows(expected)
    assert any(row.scores for row in actual.rows)
    assert events(remote) == events(local)
