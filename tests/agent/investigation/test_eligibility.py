"""Which hypotheses of a language model may win is counted from the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.agent.investigation.eligibility import (
    eligible_hypotheses,
    no_progress,
    reason_without_winner,
)
from hubel.agent.runlog.log import RunLog

TARGET = "mlp.0.0"


def log_of(folder: Path, outcomes: str, *, looked: bool = True, cannot_explain: str = "") -> RunLog:
    """One hypothesis with outcomes by their first letters, and a last move."""
    log = RunLog(folder)
    look = {"look": "h1" if looked else "", "experiments": ["e1"], "cannot_explain": ""}
    log.write("move", look, target=TARGET, id="1")
    log.write("move", {"experiments": [], "cannot_explain": cannot_explain}, target=TARGET, id="2")
    words = {"f": "for", "a": "against", "v": "void"}
    for number, letter in enumerate(outcomes):
        row = {"hypothesis": "h1", "outcome": words[letter]}
        log.write("outcome", row, target=TARGET, id=f"e{number}")
    return log


@pytest.mark.parametrize(
    ("outcomes", "eligible"), [("ffa", {"h1"}), ("fa", set()), ("fvvv", {"h1"}), ("vv", set())]
)
def test_a_winner_keeps_more_predictions_than_it_fails(
    tmp_path: Path, outcomes: str, eligible: set[str]
) -> None:
    assert eligible_hypotheses(log_of(tmp_path, outcomes), TARGET) == eligible


def test_without_a_second_look_nothing_wins(tmp_path: Path) -> None:
    log = log_of(tmp_path, "fff", looked=False)
    assert eligible_hypotheses(log, TARGET) == set()
    assert "a second look's among them" in reason_without_winner(log, TARGET)


def test_an_explainer_that_cannot_explain_has_no_winner(tmp_path: Path) -> None:
    assert eligible_hypotheses(log_of(tmp_path, "fff", cannot_explain="noise"), TARGET) == set()


def test_what_held_up_without_a_predicate_is_named(tmp_path: Path) -> None:
    assert reason_without_winner(log_of(tmp_path, "ff"), TARGET).startswith("h1 held up")


@pytest.mark.parametrize(
    ("best", "stuck"),
    [([], False), ([0.3, 0.3], False), ([0.3, 0.3, 0.304], True), ([0.3, 0.3, 0.31], False)],
)
def test_two_rounds_without_progress_end_an_investigation(best: list[float], stuck: bool) -> None:
    assert no_progress(best) is stuck
