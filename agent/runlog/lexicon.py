"""The vocabulary that a run's predicates look up: built from the subject, frozen when the run ends.

While a run works, its lexicon is made from the subject's token strings and input embedding, and
kept in the cache by the subject's revision. When the run ends, what its predicates actually look up
is frozen into the run's folder, so that the run can be replayed and shown without the subject and
without a tagger.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...tools.annotation import SpacyAnnotator, StoredAnnotator, store_annotations
from ...tools.dissection import Lexicon, Predicate, frozen_lexicon
from ...tools.errors import CorruptError
from ...tools.files import atomic_folder, cache_dir
from ...tools.lexica import Lexica
from .data_files import check_folder, record_file
from .layout import LEXICON, run_argument

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int

    from ...tools.index import Collected
    from ...tools.subject import Subject
    from .log import RunLog


def subject_lexicon(
    subject: Callable[[], Subject], revision: str, say: Callable[[str], None] = lambda line: None
) -> Lexicon:
    """The whole lexicon of a subject, from the cache if it was made before, with tagger and lexica.

    Args:
        say: told if it has to be made, or a long text tagged, which takes some seconds, and what
            cannot be loaded.
    """
    lexicon = _whole_lexicon(subject, revision, say)
    lexicon.annotator = SpacyAnnotator(lexicon.strings, say)
    lexicon.lexica = Lexica(say)
    return lexicon


def _whole_lexicon(
    subject: Callable[[], Subject], revision: str, say: Callable[[str], None]
) -> Lexicon:
    folder = cache_dir() / "lexicons" / revision
    if folder.is_dir():
        try:
            return Lexicon.load(folder)
        except CorruptError:
            pass  # build it again: it depends on nothing but the subject
    say("reading the subject's vocabulary; it is kept for the next time")
    loaded = subject()
    embedding = loaded.model.get_input_embeddings().weight.detach().float().cpu().numpy()
    lexicon = Lexicon.build(loaded.token_strings(), embedding)
    with atomic_folder(folder) as partial:
        lexicon.save(partial)
    return Lexicon.load(folder)


def freeze_lexicon(
    log: RunLog, lexicon: Lexicon, predicates: Collection[str], texts: Iterable[Collected]
) -> None:
    """Keep what these predicates look up in a run's folder.

    Args:
        texts: on which they are run again; the annotations that they read are kept, too.
    """
    folder = log.folder / LEXICON
    layers = frozen_lexicon.annotation_layers(predicates)
    with atomic_folder(folder) as partial:
        frozen_lexicon.freeze(lexicon, predicates).save(partial)
        for text in texts if layers else ():
            store_annotations(lexicon.annotator, partial, text.tokens, text.length, layers)
    for path in sorted(folder.iterdir()):
        record_file(log, f"{LEXICON}/{path.name}")


def stored_lexicon(folder: Path) -> Lexicon:
    """The lexicon that was frozen into a run's folder.

    Raises:
        CorruptError: there is none, because the run has not ended, or it was changed.
    """
    if not (folder / LEXICON).is_dir():
        raise CorruptError(
            f"{folder} has no lexicon because its run has not ended; "
            f"`hubel resume {run_argument(folder)}` continues it"
        )
    check_folder(folder, LEXICON)
    return open_lexicon(folder)


def open_lexicon(folder: Path) -> Lexicon:
    """The lexicon in a run's folder, whose files the caller has checked."""
    lexicon = Lexicon.load(folder / LEXICON)
    lexicon.annotator = StoredAnnotator(folder / LEXICON, lexicon.strings)
    return lexicon


def predict(
    printed: str,
    lexicon: Lexicon,
    tokens: Int[np.ndarray, "contexts seq"],
    length: Int[np.ndarray, " contexts"],
) -> Float[np.ndarray, "contexts seq"]:
    """Run a predicate as the log prints it: the predicted activation of every token.

    Raises:
        UsageError: the text is not a predicate.
    """
    return Predicate.parse(printed).predict(tokens, lexicon, length)
