"""Score on text of another corpus what was written after held-out text had been opened (contract).

A separate process does it, since it reads that text with the subject:

1. The other corpus is the Wikipedia sample; for a run on that, the Lee news.
2. The target's activations on 300 of its contexts are collected, once, into the run's folder
   (`agent.rescoring.other_corpus`).
3. An edit's predicate is scored there, and the score is an event in the run's reviews
   (`review_scored`). The explanations of a run that was made after viewing are scored as `hubel eval
   --corpus` does it.

    python -m hubel.agent.review.score_on_other_corpus FOLDER REVIEW      an edit, by the id of its event
    python -m hubel.agent.review.score_on_other_corpus FOLDER             a run's explanations, once the run has ended
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...tools.errors import HubelError, UsageError
from ...tools.files.untrusted_text import printable
from ...tools.subject.address import Unit
from ..runlog.chain import FILE
from ..runlog.config import RunConfig
from ..runlog.data_files import check_folder, file_row
from ..runlog.layout import COLLECTED
from ..runlog.progress import Reporter
from ..runlog.reviews import SCORED, Reviews

if TYPE_CHECKING:
    from ...tools.subject import Subject
    from ..runlog.log import Event

COMMAND = [sys.executable, "-m", f"{__package__}.score_on_other_corpus"]
CONTEXTS = 300
"""Takes half a minute of one CPU on the default subject; the interval of r is then about 0.1 wide."""


def start(folder: Path, review: str) -> subprocess.Popen[bytes]:
    """Score an edit in a separate process."""
    null, command = subprocess.DEVNULL, [*COMMAND, str(folder), review]
    return subprocess.Popen(command, stdin=null, stdout=null, stderr=null)


def other_corpus(config: RunConfig) -> str:
    """The corpus that a run's explanations have not seen."""
    return "lee-news" if config.corpus.get("name") == "wiki-sample" else "wiki-sample"


def score_edit(folder: Path, review: str, corpus: str = "", subject: Subject | None = None) -> None:
    """Score an edit's predicate on another corpus; log the score, or why there is none.

    Args:
        review: id of the edit's event.
        corpus: its name; "" for the usual one.
        subject: the loaded subject, if the caller has it.
    """
    reviews, config = Reviews(folder), RunConfig.load(folder)
    edit = next((event for event in reviews.events() if event.id == review), None)
    if edit is None or edit.target is None or not edit.data.get("predicate"):
        raise UsageError(
            f"{review!r} is not an edit with a predicate in the reviews of {folder.name}"
        )
    corpus = corpus or other_corpus(config)
    scored: dict[str, Any] = {"of": review, "corpus": corpus, "score": None, "error": None}
    try:
        scored["score"] = _score(folder, config, edit, corpus, subject, reviews)
    except HubelError as error:
        scored["error"] = " ".join(str(error).split())
    reviews.write(SCORED, edit.target, scored)


def _score(
    folder: Path,
    config: RunConfig,
    edit: Event,
    corpus: str,
    subject: Subject | None,
    reviews: Reviews,
) -> dict[str, Any]:
    from ...evals.scorers.simulation import score_simulation
    from ...evals.scorers.task import scoring_task
    from ...tools.index import Collected
    from ..rescoring.other_corpus import OtherCorpus, collect_on_corpus
    from ..runlog.lexicon import predict, subject_lexicon
    from ..runlog.run_subject import open_run_subject, weights_of

    if config.suite or config.nulls:
        raise UsageError("planted, null and control units exist on the run's own text only")
    unit = Unit.parse(str(edit.target))
    loaded = subject or open_run_subject(folder, config)
    check_folder(folder, COLLECTED)
    explore = Collected.open(folder / COLLECTED, "explore")

    def record(name: str) -> None:
        reviews.write(FILE, str(edit.target), {"path": name, **file_row(folder / name)})

    lexicon = subject_lexicon(lambda: loaded, weights_of(config.subject["revision"]))
    seen = explore, Collected.open(folder / COLLECTED, "select")
    other = OtherCorpus(corpus, seen, lexicon.strings, CONTEXTS, config.seed)
    data = collect_on_corpus(
        other, folder, [unit], lambda: loaded, reporter=Reporter(), record=record
    )
    predicted = predict(edit.data["predicate"], lexicon, data.tokens, data.length)
    task = scoring_task(unit, "holdout", data, explore, predicted, resampling=config.resampling)
    return score_simulation(task).to_json() | {"split": corpus}


def finish_run(folder: Path) -> str:
    """Take a run that is made after viewing to its end, then score its explanations.

    Returns:
        Why it could not be finished, or "".
    """
    from ..run.execute import execute_run
    from ..runlog.log import RunLog

    result = execute_run(folder)
    if result.budget:
        return result.budget
    if result.failed or result.pending:
        log = RunLog(folder, writable=False)
        concluded, failures = log.targets("conclusion"), log.targets("failure")
        errors = [row["error"] for target, row in failures.items() if target not in concluded]
        return "; ".join(errors) or "the run has not ended"
    score_run(folder)
    return ""


def score_run(folder: Path, corpus: str = "", subject: Subject | None = None) -> None:
    """Score the explanations of a run that was made after viewing, as `hubel eval --corpus` does."""
    from ..rescoring.evaluate import evaluate
    from ..rescoring.plan import RescoringPlan
    from ..rescoring.sources import open_source
    from ..runlog.views import target_rows

    if not any(row["predicate"] for row in target_rows(folder)):
        return  # "we don't know" is nothing to score
    config = RunConfig.load(folder)
    plan = RescoringPlan(
        scorers=("simulation",), corpus=corpus or other_corpus(config), contexts=CONTEXTS
    )
    evaluate(open_source(str(folder), folder.parent), plan, subject=subject)


def main(folder: Path, review: str = "") -> int:
    """What the page's process does. The last line of its output is the reason that the page shows."""
    failure = ""
    try:
        if review:
            score_edit(folder, review)
        else:
            failure = finish_run(folder)
    except HubelError as error:
        failure = " ".join(str(error).split())
    if failure:
        sys.stderr.write(f"hubel: {printable(failure)}\n")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
