"""What a study gets: its subjects, and a place for what it measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..tools.errors import UnavailableError
from .measurements import Measured, Measurements

if TYPE_CHECKING:
    from ..tools.subject import Subject

Progress = Callable[[str, float, float | None], None]
"""What is being done, how much of it is done, and of how much (None: not known)."""


def no_progress(_step: str, _done: float, _total: float | None) -> None:
    """Shows nothing."""


class StudyContext:
    """Subjects and measurements of one study.

    Args:
        subjects: names of subjects, or subjects that are loaded already.
        load: loads a subject by name on first use.
        measurements: by default kept in memory.
        progress: for long work.
    """

    def __init__(
        self,
        subjects: Sequence[str | Subject] = (),
        load: Callable[[str], Subject] | None = None,
        measurements: Measurements | None = None,
        progress: Progress = no_progress,
    ) -> None:
        self._subjects = list(subjects)
        self._load = load
        self._measurements = measurements or Measurements()
        self.progress = progress

    @property
    def names(self) -> tuple[str, ...]:
        """What the subjects are called, in the order given; known also in a replay."""
        return tuple(s if isinstance(s, str) else s.name for s in self._subjects)

    @property
    def subject(self) -> Subject:
        """The first subject.

        Raises:
            UnavailableError: there is none.
        """
        return self.subject_at(0)

    @property
    def subjects(self) -> list[Subject]:
        """All subjects, in the order given; for large ones use `subject_at`, one after the other."""
        return [self.subject_at(place) for place in range(len(self._subjects))]

    def subject_at(self, place: int) -> Subject:
        """One of the subjects, loaded now if it is not yet.

        Raises:
            UnavailableError: there are not so many.
        """
        if place >= len(self._subjects):
            raise UnavailableError(
                f"this study needs {place + 1} subject{'s' * bool(place)}, and "
                f"{len(self._subjects) or 'none'} given: name each with --subject"
            )
        subject = self._subjects[place]
        if isinstance(subject, str):
            if self._load is None:
                raise UnavailableError(f"nothing here loads the subject {subject!r}")
            subject = self._subjects[place] = self._load(subject)
        return subject

    def measured(self, name: str, measure: Callable[[], Measured]) -> Measured:
        """The arrays of a measurement, made now if there is none of that name.

        Everything that needs a subject or a data set belongs into `measure`. What follows is
        computed from the arrays alone, the same to the last bit whenever it is done again.

        Args:
            name: letters, digits, dots and hyphens; it becomes a file's name.
        """
        return self._measurements.measured(name, measure)
