"""A run on a Ray cluster whose worker is killed has the log of a run in one process."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from hubel.agent.engine import EngineChoice, open_engine
from hubel.agent.run.execute import execute_run
from hubel.agent.runlog.layout import PIECES
from hubel.agent.runlog.lexicon import subject_lexicon
from hubel.bench.soak.fixtures import documents, make_soak_run, targets
from hubel.bench.tiny_subject import miniature
from hubel.tools.corpus import corpus_from_documents
from hubel.tools.index import build_index
from hubel.tools.subject import load_subject
from tests.agent.run.test_on_engine import events
from tests.support.pieces import Add


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_has_the_same_log(tmp_path: Path) -> None:
    pytest.importorskip(
        "ray", reason="the engine of several machines is Ray: pip install 'hubel[ray]'"
    )
    tiny = miniature()
    tiny.model.save_pretrained(tmp_path / "subject")
    tiny.tokenizer.save_pretrained(tmp_path / "subject")
    subject = load_subject(str(tmp_path / "subject"))
    subject_lexicon(lambda: subject, subject.revision)
    build_index(subject, corpus_from_documents("made", documents(), "0" * 64), tmp_path / "index")
    local, remote = (
        make_soak_run(tmp_path / name, tmp_path / "index", targets(6))
        for name in ("local", "remote")
    )
    execute_run(local, subject=subject)
    with open_engine(EngineChoice("ray", workers=2), remote / PIECES) as engine:
        victim = engine.call(Add(1, 2))["pid"]
        timer = threading.Timer(2.0, os.kill, (victim, signal.SIGKILL))
        timer.start()
        result = execute_run(remote, subject=subject, engine=engine)
        timer.cancel()
    assert result.done == 6
    assert events(remote) == events(local)
