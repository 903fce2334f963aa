"""The text of a training: explore to train on, select to measure on.

It is that of an index, or a corpus divided as an index would divide it. Neither reads the holdout, so
that explanations of a dictionary's latents can be tested on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...corpus import Contexts, Corpus, Split, make_contexts
from ...errors import UsageError
from ...index.index import Index
from ...subject.subject import Subject
from .quality import held_back_text
from .settings import TrainSettings
from .vectors import Text, Vectors, vectors_of_index, vectors_of_text


class CorpusText(NamedTuple):
    """A corpus, cut into contexts of so many tokens."""

    corpus: Corpus
    context_len: int = 64
    max_tokens: int | None = None


class TrainingVectors(NamedTuple):
    """Vectors to train on and to measure on, and what tells them from those of another text."""

    explore: Vectors
    select: Vectors
    origin: Mapping[str, Any]


def vectors_of(
    subject: Subject, settings: TrainSettings, source: CorpusText | Index
) -> TrainingVectors:
    """The vectors of an index or a corpus.

    Raises:
        UsageError: too little text, contexts that the subject cannot read, or another subject's index.
    """
    if isinstance(source, Index):
        explore = vectors_of_index(subject, settings, source)
        contexts = source.contexts("select")
        select = Text(contexts.tokens, contexts.length)
        origin = {
            "corpus": source.corpus_name,
            "contexts": source.contexts_sha256,
            "context_len": source.context_len,
        }
    else:
        contexts = _contexts(subject, source)
        explore = vectors_of_text(subject, settings, _part(contexts, "explore"))
        select = _part(contexts, "select")
        origin = {
            "corpus": source.corpus.name,
            "corpus_sha256": source.corpus.sha256,
            "context_len": source.context_len,
            "max_tokens": source.max_tokens,
        }
    held_back = vectors_of_text(subject, settings, held_back_text(select, settings.seed))
    return TrainingVectors(explore, held_back, origin)


def _contexts(subject: Subject, source: CorpusText) -> Contexts:
    if source.context_len > subject.context_length:
        raise UsageError(
            f"context length {source.context_len} given; "
            f"{subject.name} reads at most {subject.context_length} tokens"
        )
    return make_contexts(
        source.corpus.documents,
        lambda text: subject.tokenize(text).ids,
        source.context_len,
        source.max_tokens,
    )


def _part(contexts: Contexts, split: Split) -> Text:
    rows = contexts.rows_of(split)
    return Text(contexts.tokens[rows], contexts.length[rows])
