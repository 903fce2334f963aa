"""Gives a subject the latents of dictionaries: those that a user names, or those of an index."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..subject.attach_latents import attach_latents
from .named_source import NamedSource
from .placed import placed, require_fit
from .read import read_dictionary

if TYPE_CHECKING:
    from ..corpus import Document
    from ..subject import Subject
    from .dictionary import Dictionary


def attach_dictionaries(
    subject: Subject,
    sources: Sequence[NamedSource],
    say: Callable[[str], None] = lambda line: None,
    documents: Iterable[Document] = (),
) -> None:
    """Read dictionaries and attach them.

    Args:
        documents: to check on that each explains its place better than with permuted decoder rows; none
            for no check of what it explains.

    Raises:
        UsageError: there is none, or it does not fit the subject.
        CorruptError: its files cannot be read.
    """
    for name, source in sources:
        say(f"reading the dictionary {name} from {source}")
        path = Path(source)
        # an index records where its dictionaries are, whatever folder it is used from
        found = str(path.resolve()) if path.exists() else source
        dictionary = read_dictionary(found, name)
        if documents:
            _check_fit(subject, dictionary, documents)
        attach_latents(subject, placed(subject, dictionary))


def check_dictionaries(
    subject: Subject, sources: Sequence[NamedSource], documents: Iterable[Document]
) -> None:
    """Raise UsageError for a dictionary that explains nothing of its place; nothing is attached."""
    for name, source in sources:
        _check_fit(subject, read_dictionary(source, name), documents)


def _check_fit(subject: Subject, dictionary: Dictionary, documents: Iterable[Document]) -> None:
    try:
        require_fit(subject, dictionary, (document.text for document in documents))
    except UsageError as error:
        raise UsageError(f"{error}; --unchecked-dictionaries takes it as it is") from error


def attach_recorded(
    subject: Subject,
    recorded: Mapping[str, Mapping[str, Any]],
    made_with_it: str,
    names: Collection[str] | None = None,
) -> None:
    """Attach the dictionaries that an index was made with, unless the subject has them.

    Args:
        recorded: `Index.dictionaries`.
        made_with_it: for messages: "the index 'x'".
        names: only these; None for all.

    Raises:
        UsageError: one is no longer where it was, or another one is there.
    """
    for name, record in recorded.items():
        if name in subject.dictionaries or (names is not None and name not in names):
            continue
        try:
            dictionary = read_dictionary(record["source"], name)
        except UsageError as error:
            raise UsageError(
                f"{made_with_it} has latents of the dictionary {name!r}, which is no longer at "
                f"{record['source']}: put it back there ({error})"
            ) from error
        if dictionary.sha256 != record["sha256"]:
            raise UsageError(
                f"{record['source']} is no longer the dictionary {name!r} that {made_with_it} was made "
                "with: put that one back, or build the index again with this one"
            )
        attach_latents(subject, placed(subject, dictionary))
