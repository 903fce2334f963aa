"""For notebooks: score your own explanation on a run's activations."""

from __future__ import annotations

from pathlib import Path

from ...evals.score import Score
from ...evals.scorers.simulation import score_simulation
from ...evals.scorers.task import scoring_task
from ...tools.dissection import Lexicon, Predicate
from ...tools.index import Collected
from ...tools.subject.address import Unit
from ..runlog.config import RunConfig, find_run
from ..runlog.data_files import check_folder
from ..runlog.layout import COLLECTED
from ..runlog.lexicon import stored_lexicon


def score_explanation(
    run: str | Path, target: str, predicate: str | Predicate, *, runs: str | Path = "runs"
) -> Score:
    """Simulation score of a predicate on a finished run's select split, with its floors.

    Holdout is not for trying things out: a run reads it once, for its winner.

    Args:
        run: name or folder of the run, which collected the target's activations.
        target: an address, with a side or without.
        predicate: printed or parsed, e.g. `strongly words("said") - slightly kind("digits")`.

    Raises:
        UsageError: no such run, the target was not collected, or the predicate cannot be read.
        CorruptError: the run has not ended.
    """
    parsed = Predicate.parse(predicate) if isinstance(predicate, str) else predicate
    return score_on_select(find_run(str(run), Path(runs)), target, parsed)


def score_on_select(
    folder: Path, target: str, predicate: Predicate, lexicon: Lexicon | None = None
) -> Score:
    """The same for a run's folder.

    Args:
        lexicon: by default the run's, which has only the words of its own predicates.
    """
    check_folder(folder, COLLECTED)
    explore = Collected.open(folder / COLLECTED, "explore")
    select = Collected.open(folder / COLLECTED, "select")
    lexicon = lexicon or stored_lexicon(folder)
    predicted = predicate.predict(select.tokens, lexicon, select.length)
    resampling = RunConfig.load(folder).resampling
    task = scoring_task(
        Unit.parse(target), "select", select, explore, predicted, resampling=resampling
    )
    return score_simulation(task)
