"""What a dying cluster works on: the miniature subject and the documents of the soak as files that every
worker reads, and the index of one process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import fixtures


@dataclass(frozen=True)
class ClusterWorld:
    """Where everything is.

    Attributes:
        index: made in one process, with the activations of all layers stored.
        bare_index: the same without stored activations, so that runs on it run the subject.
    """

    subject: Path
    revision: str
    texts: Path
    corpus_sha256: str
    index: Path
    bare_index: Path
    sites: tuple[str, ...] = ("mlp", "head")


def make_world(folder: Path) -> ClusterWorld:
    """Make all of it in a folder; also caches the lexicon."""
    from ...agent.runlog.lexicon import subject_lexicon
    from ...tools.corpus import read_corpus
    from ...tools.index import build_index
    from ...tools.subject import load_subject
    from ..tiny_subject import miniature

    made = miniature()
    made.model.save_pretrained(folder / "subject")
    made.tokenizer.save_pretrained(folder / "subject")
    texts = folder / "texts"
    texts.mkdir()
    for document in fixtures.documents():
        (texts / f"{document.id}.txt").write_text(document.text)
    subject, corpus = load_subject(str(folder / "subject"), device="cpu"), read_corpus(str(texts))
    subject_lexicon(lambda: subject, subject.revision)
    world = ClusterWorld(
        folder / "subject",
        subject.revision,
        texts,
        corpus.sha256,
        folder / "one",
        folder / "bare",
    )
    build_index(subject, corpus, world.index, sites=world.sites, store="all")
    build_index(subject, corpus, world.bare_index)
    return world
