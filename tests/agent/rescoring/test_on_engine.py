"""`hubel eval` on an engine's workers: the log and the rows of one process, whatever is killed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hubel.agent.engine import LocalEngine, PieceOutcome, Worker
from hubel.agent.rescoring.evaluate import evaluate
from hubel.agent.rescoring.plan import Evaluation, RescoringPlan, json_rows
from hubel.agent.rescoring.score_on_engine import FOLDER
from hubel.agent.rescoring.scoring_tasks import TaskBuilder
from hubel.agent.rescoring.sources import ExplanationSource, open_source
from hubel.agent.runlog.layout import COLLECTED, PIECES
from hubel.agent.runlog.log import read_events
from hubel.agent.runlog.model_config import ModelConfig
from hubel.tools.errors import UnavailableError
from hubel.tools.subject.subject import Subject
from tests.agent.rescoring.conftest import write_csv
from tests.agent.run.test_on_engine import events
from tests.support.tiny import tiny_subject

SCORERS = ("simulation", "embedding", "discrimination", "intervention")
PLAN = RescoringPlan(SCORERS)


class Counting(LocalEngine):
    """Counts what it does; ends the command after some pieces, the last of which is not logged."""

    def __init__(self, worker: Worker, most: int = 1000) -> None:
        super().__init__(worker)
        self.calls, self.done, self._left = 0, list[str](), most

    def run(self, pieces: Any) -> Iterator[PieceOutcome]:
        for outcome in super().run(pieces):
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
            self.done += [outcome.piece.title] if outcome.where else []
            yield outcome

    def call(self, request: Any) -> Any:
        self.calls += 1
        return super().call(request)


def rows(evaluation: Evaluation) -> str:
    """The rows as `--json` prints them, without seconds."""
    return json.dumps([row | {"seconds": 0} for row in json_rows([evaluation])])


def other(source: ExplanationSource, tmp_path: Path) -> ExplanationSource:
    """The same source in another folder."""
    folder = shutil.copytree(source.folder, tmp_path / "other" / "run")
    return open_source(str(folder), tmp_path)


def test_a_killed_evaluation_on_workers_ends_like_one_in_one_process(
    run: Path, tmp_path: Path, tiny: Subject
) -> None:
    here = open_source("run", run.parent)
    there = other(here, tmp_path)
    expected = evaluate(here, PLAN, subject=tiny)
    with pytest.raises(KeyboardInterrupt):
        evaluate(there, PLAN, subject=tiny, engine=Counting(Worker(subject=tiny), 3))
    assert list((there.folder / PIECES / FOLDER).glob("*.json"))
    engine = Counting(Worker(subject=tiny))
    actual = evaluate(there, PLAN, subject=tiny, engine=engine)
    assert rows(actual) == rows(expected)
    assert events(there.folder) == events(here.folder)
    assert len(engine.done) == len(here.explanations) - 4, "what was done is done once"
    named = Counter((e.target, e.id) for e in read_events(there.folder) if e.event == "evaluation")
    assert set(named.values()) == {1}
    assert not (there.folder / PIECES / FOLDER).exists()


def test_a_retry_on_workers_scores_what_failed_alone(run: Path, tiny: Subject) -> None:
    source, engine = open_source("run", run.parent), Counting(Worker(subject=tiny))
    plan = RescoringPlan(("simulation",), retry_failed=True)
    first = evaluate(source, plan, engine=engine)
    before = len(list(read_events(run)))
    again = evaluate(source, plan, engine=engine)
    new = [e.event for e in list(read_events(run))[before:]]
    assert set(new) <= {"sealed"}, "kept scores are not written again"
    assert rows(again) == rows(first)


def test_tables_and_another_corpus_are_scored_alike(
    run: Path, tiny_index: Path, tmp_path: Path, loading: list[str]
) -> None:
    text = "\n\n".join(f"{i} the cat said on Monday that the river is red " * 8 for i in range(30))
    (tmp_path / "corpus.txt").write_text(text)
    table = write_csv(
        tmp_path / "t.csv", [("mlp.1.3", "cat", 'strongly token(" cat")'), ("mlp.1.4", "dog", "")]
    )
    plan = RescoringPlan(
        ("simulation", "embedding"), corpus=str(tmp_path / "corpus.txt"), contexts=60
    )
    for name in ("on its text", "elsewhere"):
        here, there = (
            open_source(str(table), tmp_path / name / where, index=tiny_index)
            for where in ("here", "there")
        )
        chosen = plan if name == "elsewhere" else replace(plan, corpus="")
        expected = evaluate(here, chosen)
        actual = evaluate(there, chosen, engine=LocalEngine())
        assert rows(actual) == rows(expected)
        assert events(there.folder) == events(here.folder)
    scored = open_source("run", run.parent)
    there = other(scored, tmp_path)
    assert rows(evaluate(there, plan, engine=LocalEngine())) == rows(evaluate(scored, plan))
    assert events(there.folder) == events(scored.folder)


def test_a_judge_stays_here_and_the_subject_runs_on_workers(
    run: Path, tmp_path: Path, tiny: Subject
) -> None:
    here = open_source("run", run.parent)
    there = other(here, tmp_path)
    judge = ModelConfig("constant:yes")
    plan = RescoringPlan(("generative", "intervention", "surprisal"), judge=judge)
    engine = Counting(Worker(subject=tiny))
    expected = evaluate(here, plan, subject=tiny)
    actual = evaluate(there, plan, subject=tiny, engine=engine)
    assert rows(actual) == rows(expected)
    assert events(there.folder) == events(here.folder)
    assert engine.calls > 0
    assert engine.done == []


def test_a_defect_on_a_worker_costs_one_target(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, plan = open_source("run", run.parent), RescoringPlan(("simulation",))
    broken, build = source.explanations[1].target, TaskBuilder.build

    def defective(self: TaskBuilder, explanation: Any, *rest: Any) -> Any:
        if explanation.target == broken:
            raise ZeroDivisionError("by a defect")
        return build(self, explanation, *rest)

    monkeypatch.setattr(TaskBuilder, "build", defective)
    failed = evaluate(source, plan, engine=LocalEngine())
    statuses = {row.explanation.target: row.status for row in failed.rows if row.explanation.words}
    assert statuses.pop(broken) == "failed"
    assert set(statuses.values()) == {"done"}
    (failure,) = [e for e in read_events(run) if e.event == "evaluation_failure"]
    assert "ZeroDivisionError" in failure.data["traceback"]
    monkeypatch.undo()
    done = evaluate(source, plan, engine=LocalEngine())
    assert {row.status for row in done.rows if row.explanation.words} == {"done"}


def test_another_subject_or_file_on_a_worker_is_one_line(run: Path, tiny: Subject) -> None:
    class OtherSubject(Worker):
        def subject_at_hand(self, revision: str) -> Subject:
            return tiny_subject(seed=1)

    source = open_source("run", run.parent)
    with pytest.raises(UnavailableError, match=r"this process: .*weights") as refusal:
        evaluate(source, PLAN, subject=tiny, engine=LocalEngine(OtherSubject()))
    assert "\n" not in str(refusal.value)
    plan, engine = RescoringPlan(("simulation",)), Counting(Worker(), 0)
    with pytest.raises(KeyboardInterrupt):
        evaluate(source, plan, engine=engine)
    path = run / COLLECTED / "explore.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match="was changed"):
        evaluate(source, plan, engine=engine)
