"""The indexes that hubel makes on the way: one for each subject, corpus and settings.

`run`, `demo` and `bench` make them. They are kept in the cache, and have an activation store where the
disk has room for it, so that the run that follows does not read the text a second time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ...tools.corpus import RULE, Corpus, read_corpus
from ...tools.errors import CorruptError, UsageError
from ...tools.files import cache_dir
from ...tools.index import Index, build_index
from ...tools.index.activation_store.folder import StoreChoice
from ...tools.subject import Subject
from ...tools.subject.address import parse_targets
from ..runlog.progress import Reporter

MAX_NAME = 80
"""Characters of a subject's or a corpus's name in that of a folder, which may have 255 in all."""


@dataclass(frozen=True)
class IndexSettings:
    """How much of a text is read, as `hubel index` has it; each combination has its own index."""

    layers: tuple[int, ...] | None = None
    """Only these layers; None: all."""
    max_tokens: int | None = None
    """Tokens of a prefix of the corpus; None: all of it."""
    context_len: int = 64
    """Tokens of a context."""


def default_index(subject: Subject, corpus_name: str, reporter: Reporter) -> Path:
    """The folder of the index in the cache, with the usual settings, built or completed if needed.

    Raises:
        UsageError: the corpus cannot be used.
        UnavailableError: the corpus cannot be fetched, or the disk is full.
    """
    return _index(subject, read_corpus(corpus_name), reporter, IndexSettings(), None, "auto")


def existing_index(subject: Subject, corpus: Corpus) -> Index | None:
    """The index of a corpus in the cache, with the usual settings, if it is there and complete."""
    try:
        return Index.open(_folder_in_cache(subject, corpus, IndexSettings()))
    except (CorruptError, FileNotFoundError):
        return None


def index_for_run(
    subject: Subject,
    corpus: Corpus,
    targets: Sequence[str],
    reporter: Reporter,
    settings: IndexSettings,
    folder: Path | None,
    store: StoreChoice = "auto",
) -> Path:
    """The folder of an index for some targets, which are checked before the text is read.

    Args:
        folder: where it is or is to be; by default in the cache.
        store: what of the activation store is kept, if the index is made now.

    Raises:
        UsageError: a target is not a unit of the subject, the folder has another index, or the
            corpus or a setting cannot be used.
        UnavailableError: the disk is full.
    """
    parse_targets(",".join(targets), subject.shape)
    return _index(subject, corpus, reporter, settings, folder, store)


def _index(
    subject: Subject,
    corpus: Corpus,
    reporter: Reporter,
    settings: IndexSettings,
    folder: Path | None,
    store: StoreChoice,
) -> Path:
    folder = folder or _folder_in_cache(subject, corpus, settings)
    try:
        _check_same(Index.open(folder), subject, corpus, settings)
    except (CorruptError, FileNotFoundError):  # there is none, or its pass was stopped
        reporter.say(f"reading {corpus.name} once, for an index at {folder}")
        build_index(
            subject,
            corpus,
            folder,
            sites=("mlp", "head", "sae") if subject.dictionaries else ("mlp", "head"),
            layers=settings.layers,
            max_tokens=settings.max_tokens,
            context_len=settings.context_len,
            store=store,
            progress=reporter,
            warn=reporter.say,
            say=reporter.say,
        )
    return folder


def _folder_in_cache(subject: Subject, corpus: Corpus, settings: IndexSettings) -> Path:
    """The folder's name says what the index is of; unusual settings add their hash.

    Of a subject or corpus that is a path, its last part is enough, since hashes follow.
    """
    model, text = (Path(name).name[-MAX_NAME:] for name in (subject.name, corpus.name))
    name = f"{model}-{subject.revision[:8]}-{text}-{corpus.sha256[:8]}-{RULE}"
    usual = IndexSettings()
    unusual = {
        field.name: value
        for field in fields(settings)
        if (value := getattr(settings, field.name)) != getattr(usual, field.name)
    }
    if subject.dictionaries:
        unusual["dictionaries"] = {of.name: of.sha256 for of in subject.dictionaries.values()}
    if unusual:
        name += f"-{hashlib.sha256(repr(unusual).encode()).hexdigest()[:8]}"
    return cache_dir() / "indexes" / re.sub(r"[^A-Za-z0-9.-]+", "-", name)


def _check_same(index: Index, subject: Subject, corpus: Corpus, settings: IndexSettings) -> None:
    """Raise UsageError if an index that exists is not the one that was asked for."""
    name = f"the index at {index.path}"
    subject.require_revision(index.subject_revision, name)
    if index.corpus_sha256 != corpus.sha256:
        raise UsageError(
            f"{name} is over {index.corpus_name}, not over this {corpus.name}; "
            "leave out --subject and --corpus, or give another --index"
        )
    recorded = {known: of["sha256"] for known, of in index.dictionaries.items()}
    for dictionary in subject.dictionaries.values():
        if recorded.get(dictionary.name) != dictionary.sha256:
            raise UsageError(
                f"{name} has no latents of this dictionary {dictionary.name!r}; give another --index, or "
                "leave it out"
            )
    # an option that was left out is satisfied by whatever the index has
    if settings.context_len not in (IndexSettings().context_len, index.context_len):
        has, option = f"contexts of {index.context_len} tokens", "--context-len"
    elif settings.max_tokens is not None and index.tokens > settings.max_tokens:
        has, option = f"{index.tokens} tokens", "--corpus-tokens"
    elif not {*(settings.layers or ())} <= {site.layer for site in index.sites}:
        has, option = "other layers", "--layers"
    else:
        return
    raise UsageError(f"{name} has {has}; leave out {option}, or give another --index")
