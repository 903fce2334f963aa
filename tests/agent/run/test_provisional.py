"""While a run goes on, results appear as they are found, and say that they are provisional."""

from __future__ import annotations

from pathlib import Path

from hubel.agent.run.execute import execute_run, make_run, resolve
from hubel.agent.run.provisional import EXPLANATION, provisional_line
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.progress import Reporter, StepProgress
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config


class Lines(Reporter):
    """Keeps the lines that stay, and the last note of each step."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: set[str] = set()

    def say(self, text: str) -> None:
        self.lines.append(text)

    def show(self, current: StepProgress) -> None:
        if current.step == "explain":
            self.notes.add(current.note)


def test_a_line_for_the_first_hypothesis_and_one_for_each_target(
    tiny: Subject, tiny_index: Path, tmp_path: Path
) -> None:
    folder, shown = tmp_path / "run", Lines()
    config = run_config(
        index=str(tiny_index), targets=["mlp.0.0-2"], explainer="compositional", concurrency=2
    )
    make_run(folder, resolve(config))
    execute_run(folder, subject=tiny, reporter=shown)
    log = RunLog(folder, writable=False)
    targets = ["mlp.0.0", "mlp.0.1", "mlp.0.2"]
    start = shown.lines.index(EXPLANATION)
    first, *ended = shown.lines[start + 1 :]
    assert "first hypothesis, not yet tested: " in first
    assert sorted(ended) == sorted(provisional_line(log, target) for target in targets)
    for line, target in zip(sorted(ended), targets, strict=True):
        conclusion = log.get("conclusion", target)
        assert conclusion
        assert line.startswith(f"{target}, provisional")
        assert (conclusion["explanation"] or conclusion["cannot_explain"]) in line
        if conclusion["explanation"]:
            assert ", held-out r " in line
    assert any(note.startswith("now ") for note in shown.notes)
    assert "" in shown.notes


def test_what_is_said_of_a_target_that_failed_or_has_not_ended(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    assert provisional_line(log, "mlp.0.1") == ""
    log.write("failure", {"error": "no answer"}, target="mlp.0.1")
    assert provisional_line(log, "mlp.0.1") == "mlp.0.1 failed: no answer"
    conclusion = {"explanation": "Fires.", "predicate": None, "hypothesis": "h1"}
    log.write("conclusion", conclusion, target="mlp.0.1")
    line = provisional_line(log, "mlp.0.1")
    assert line == "mlp.0.1, provisional, not scored on held-out text: Fires."
