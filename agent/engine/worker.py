"""Where pieces run: what a worker keeps between them, such as the loaded subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...tools.errors import HubelError

if TYPE_CHECKING:
    from ...tools.subject import Subject

Kept = TypeVar("Kept")
MOST_KEPT = 4
"""Things that a worker keeps besides the subject: a run or an index, its text, and room for a change."""


class UnfitWorker(HubelError):
    """This worker cannot do a piece that another one may: it lacks the subject, or has another one."""


@dataclass(frozen=True)
class SubjectChoice:
    """A subject as every worker loads it.

    Attributes:
        name: a name that each node knows, or a folder that all nodes see.
        revision: what the loaded weights must be; "" to take what is there.
        directions: file of named directions that all nodes see.
        dictionaries: NAME=PATH of each whose latents are units.
    """

    name: str
    revision: str
    device: str = "auto"
    dtype: str = "float32"
    directions: Path | None = None
    dictionaries: tuple[str, ...] = ()


class Worker:
    """Keeps what is expensive between pieces. One piece at a time uses it.

    Args:
        where: what messages call it.
        subject: one that is loaded already.
    """

    def __init__(self, where: str = "this process", subject: Subject | None = None) -> None:
        self.where = where
        self._given = subject
        self._loaded: tuple[SubjectChoice, Subject] | None = None
        self._kept: dict[str, Any] = {}

    def subject(self, choice: SubjectChoice) -> Subject:
        """The subject, loaded when it is first asked for; another choice replaces it.

        Raises:
            UnfitWorker: it cannot be loaded here, or has another revision.
        """
        if self._given is not None and choice.revision in ("", self._given.revision):
            return self._given
        if self._loaded is None or self._loaded[0] != choice:
            self._loaded = None  # so that two subjects are never in memory
            self._loaded = choice, self._load(choice)
        return self._loaded[1]

    def subject_at_hand(self, revision: str) -> Subject | None:
        """A subject of that revision if one is in memory."""
        loaded = self._loaded[1] if self._loaded else None
        for subject in (self._given, loaded):
            if subject is not None and subject.revision == revision:
                return subject
        return None

    def keep(self, name: str, make: Callable[[], Kept]) -> Kept:
        """What `make` returned when it was first asked for; the least recently used goes first."""
        kept = self._kept.pop(name) if name in self._kept else make()
        self._kept[name] = kept  # at the end: the order is that of use
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept

    def _load(self, choice: SubjectChoice) -> Subject:
        from ...tools.dictionaries.attach import attach_dictionaries
        from ...tools.dictionaries.named_source import NamedSource
        from ...tools.subject import load_subject

        try:
            subject = load_subject(
                choice.name,
                device=choice.device,
                dtype=choice.dtype,
                directions=choice.directions,
            )
            if choice.revision:
                subject.require_revision(choice.revision, "what the other workers do")
            attach_dictionaries(subject, [NamedSource.parse(text) for text in choice.dictionaries])
        except HubelError as error:
            raise UnfitWorker(f"{self.where}: {error}") from error
        return subject
