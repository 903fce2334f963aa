"""A person's review of a target, checked before it is written.

An edited explanation with a predicate is scored on select. Once somebody has opened the target's
held-out text, every review of it is marked *after viewing*, and an edit is scored on another corpus
too (`score_on_other_corpus`). Neither changes the verdict, which rests on the holdout alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...tools.errors import ArgumentError, CorruptError, HubelError
from .run_catalog import StoredRun
from .store.decisions import store_decisions
from .target_list import row_of

if TYPE_CHECKING:
    from ...tools.dissection import Lexicon
    from .request_models import ReviewBody


def add_review(
    run: StoredRun,
    target: str,
    body: ReviewBody,
    score_elsewhere: Callable[[StoredRun, str], object],
) -> dict[str, Any]:
    """Write a review, or take one back.

    Args:
        score_elsewhere: starts scoring an edit that comes after viewing on another corpus, by the edit's id.

    Raises:
        UnknownName: there is no such target.
        ArgumentError: an empty edit, a predicate that cannot be run, or nothing to take back.
    """
    with run.store.reading() as db:
        row_of(run, db, target)
    if body.verdict == "undo":
        _undo(run, target, body.name)
    else:
        _check(body)
        data = body.model_dump() | {
            "after_viewing": run.reviews.opened(target) is not None,
            "score": _score(run, target, body.predicate) if body.verdict == "edit" else None,
        }
        written = run.reviews.write("review", target, data)
        if data["after_viewing"] and data["score"] is not None:
            score_elsewhere(run, str(written.id))
    store_decisions(run.reviews, run.store)
    return {"reviews": run.reviews.rows(target)}


def open_holdout(run: StoredRun, target: str, name: str) -> dict[str, Any]:
    """Log that a person opens a target's held-out text; returns the name and time of the first one."""
    with run.store.reading() as db:
        row_of(run, db, target)
    if run.reviews.opened(target) is None:
        run.reviews.write("holdout_opened", target, {"name": name})
    return {"opened": run.reviews.opened(target)}


def _undo(run: StoredRun, target: str, name: str) -> None:
    """Take back the person's last review of a target."""
    reviews = run.reviews.by_target().get(target, [])
    own = [event for event in reviews if event.data.get("name") == name]
    if not own:
        raise ArgumentError(f"{name[:80]!r} has no review of {target} that could be taken back")
    run.reviews.write("review_undone", target, {"of": own[-1].id, "name": name})


def _check(body: ReviewBody) -> None:
    """Raise ArgumentError if what the verdict needs is missing, or the text is too long."""
    from ...tools.dissection.statement import MAX_WORDS, word_count

    if body.verdict == "edit" and not (body.text or body.predicate):
        raise ArgumentError("an edit needs a text, a predicate, or both")
    if body.verdict == "note" and not body.note:
        raise ArgumentError("a note needs a note")
    if body.text and word_count(body.text) > MAX_WORDS:
        raise ArgumentError(
            f"the text has {word_count(body.text)} words; an explanation has at most {MAX_WORDS}"
        )


def _score(run: StoredRun, target: str, printed: str | None) -> dict[str, Any] | None:
    """The simulation score of a predicate on select; None without one."""
    from ...tools.dissection import Predicate
    from ..rescoring.notebook import score_on_select

    if not printed:
        return None
    try:
        predicate = Predicate.parse(printed)
        return score_on_select(run.folder, target, predicate, _lexicon(run)).to_json()
    except CorruptError:
        raise
    except (HubelError, ValueError, RecursionError, OverflowError) as error:
        raise ArgumentError(
            f"the predicate cannot be run: {' '.join(str(error).split())}"
        ) from None


def _lexicon(run: StoredRun) -> Lexicon | None:
    """The subject's whole lexicon if it is cached; the run's own has only the words of its predicates."""
    from ...tools.annotation import SpacyAnnotator
    from ...tools.dissection import Lexicon
    from ...tools.files import cache_dir
    from ..runlog.config import RunConfig
    from ..runlog.run_subject import weights_of

    weights = weights_of(RunConfig.load(run.folder).subject.get("revision", ""))
    folder = cache_dir() / "lexicons" / weights
    if not weights or not folder.is_dir():
        return None
    lexicon = Lexicon.load(folder)
    lexicon.annotator = SpacyAnnotator(lexicon.strings)
    return lexicon
