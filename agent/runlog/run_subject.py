"""The subject of a run: loaded by its name, with its planted units, and checked to be the same model.

1. Load the subject by name.
2. Plant the units of the run's suite into it, if the run has one: from the suite's text, which the
   run keeps, and the corpus and the size of its index.
3. Compare the hash of the weights with the recorded one.
4. Attach the dictionaries whose latents are among the targets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ...tools.errors import UsageError
from .layout import SUITE

if TYPE_CHECKING:
    from ...tools.subject import PlantedSubject, Subject, Suite
    from .config import RunConfig


class StoredSuite(NamedTuple):
    """What a run keeps of its planted units: the folder with the suite, the corpus, and the index."""

    folder: Path
    corpus: str
    index_folder: Path


def open_run_subject(
    folder: Path, config: RunConfig, progress: Callable[[str], None] = lambda line: None
) -> Subject:
    """Load the subject of a run, with its planted units.

    Raises:
        UsageError: the subject is unknown, or has other weights than the run was made with.
        UnavailableError: the subject cannot be downloaded.
        CorruptError: the run's index, its suite or the weights cannot be read.
    """
    suite = None
    if config.suite:
        suite = StoredSuite(folder, config.corpus["name"], Path(config.index))
    subject = open_recorded_subject(
        config.subject,
        f"the run {folder.name!r}",
        device=config.device,
        dtype=config.dtype,
        suite=suite,
        directions=index_directions(config.targets, Path(config.index)),
        progress=progress,
    )
    attach_latents(subject, Path(config.index), config.dictionaries)
    return subject


def index_directions(targets: Iterable[str], index: Path) -> Path | None:
    """The file of an index's named directions, if there are any among the targets.

    Raises:
        UsageError: the index does not hold their vectors.
        CorruptError: their file is damaged.
    """
    if not any("@" in target for target in targets):
        return None
    from ...tools.index import Index
    from ...tools.index.index_directions import directions_file

    if file := directions_file(Index.open(index)):
        return file
    raise UsageError(
        f"the index {str(index)!r} does not hold the vectors of its directions, as an older hubel made "
        "it: build it again"
    )


def attach_latents(subject: Subject, index: Path, names: Collection[str]) -> None:
    """Give a subject the latents of dictionaries that an index was made with.

    Raises:
        UsageError: a dictionary is no longer where it was, or another one is there.
    """
    if names:
        from ...tools.dictionaries.attach import attach_recorded
        from ...tools.index import Index

        recorded = Index.open(index).dictionaries
        attach_recorded(subject, recorded, f"the index {str(index)!r}", names)


def open_recorded_subject(
    record: Mapping[str, str],
    made_with_it: str,
    *,
    device: str,
    dtype: str,
    suite: StoredSuite | None = None,
    directions: Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> Subject:
    """Load a subject by the name and revision that were recorded; raises as `open_run_subject` does.

    Args:
        record: has `name` and `revision`.
        made_with_it: what the record belongs to, for the message: "the run 'x'".
        directions: file of named directions.
    """
    from ...tools.subject import load_subject

    subject = load_subject(
        record["name"], device=device, dtype=dtype, directions=directions, progress=progress
    )
    if suite is not None:
        subject = _replant(subject, suite)
    subject.require_revision(record["revision"], made_with_it)
    return subject


def planted(subject: Subject, suite: Suite, corpus: str) -> PlantedSubject:
    """A subject with a suite's units, for an index of the whole corpus."""
    from ...tools.corpus import read_corpus
    from ...tools.subject import plant

    return plant(subject, suite, read_corpus(corpus).documents)


def _replant(subject: Subject, stored: StoredSuite) -> PlantedSubject:
    """Plant a suite's units in a subject again, as its index was made.

    Raises:
        UsageError: the corpus of that name is another text here; units would have other values.
    """
    from ...tools.corpus import read_corpus
    from ...tools.index import Index
    from ...tools.subject import plant, read_suite

    index, corpus = Index.open(stored.index_folder), read_corpus(stored.corpus)
    if corpus.sha256 != index.corpus_sha256:
        raise UsageError(
            f"the corpus {stored.corpus} is another text than that of the index {stored.index_folder}, "
            "on which the planted units depend: put the same one where every node reads it"
        )
    return plant(
        subject,
        read_suite(stored.folder / SUITE),
        corpus.documents,
        context_len=index.context_len,
        max_tokens=index.tokens,
    )


def weights_of(revision: str) -> str:
    """The revision of the weights alone: planted units change neither vocabulary nor embedding."""
    return revision.partition("+")[0]
