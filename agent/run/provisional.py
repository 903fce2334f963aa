"""One line for each target that ends while its run goes on, with what was found so far.

Verdicts come at the end, because false discoveries are controlled over all targets of the run. Until
then every result is provisional, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..investigation.sentence_scores import SIMULATION

if TYPE_CHECKING:
    from ..runlog.log import Data, RunLog

EXPLANATION = "results are provisional until the run ends: false discoveries are controlled over all its targets"


def provisional_line(log: RunLog, target: str) -> str:
    """What came of a target that has ended; "" for one that has not."""
    conclusion, failure = log.get("conclusion", target), log.get("failure", target)
    if conclusion is None:
        return "" if failure is None else f"{target} failed: {failure['error']}"
    if conclusion["explanation"] is None:
        return f"{target}, provisional: cannot explain: {conclusion['cannot_explain']}"
    score = _score_on_holdout(log, target, conclusion)
    return f"{target}, provisional{score}: {conclusion['explanation']}"


def _score_on_holdout(log: RunLog, target: str, conclusion: Data) -> str:
    scorer = SIMULATION if conclusion["predicate"] is None else "simulation"
    score = log.get("score", target, f"{conclusion['hypothesis']}/{scorer}/holdout/random")
    if score is None:
        return ", not scored on held-out text"
    interval = "" if score["low"] is None else f" ({score['low']:.2f} to {score['high']:.2f})"
    return f", held-out r {score['value']:.2f}{interval}"
