"""Every error that hubel raises on purpose.

    HubelError            the message says what was given, what was expected, and what to do
    ├── UsageError        the caller gave something wrong: exit status 2
    ├── ArgumentError     wrong arguments of an instrument; its caller can repair them
    ├── UnavailableError  something outside is missing: a hub, PyPI, a package, a key, disk space
    ├── CorruptError      a file of ours is truncated, or not what its hash says
    └── BudgetReached     a run's budget is used up: exit status 3, resumable

Anything else is a defect of hubel or of a library. Each boundary catches everything once, and turns
it into something that can be read: an investigation and the evaluation of one explanation into a
failure row, the command line into a message and an exit status, a hub download into an
UnavailableError, a library that reads a subject's folder into a UsageError. Nothing in between does.
"""

from __future__ import annotations


class HubelError(Exception):
    """Base of all errors that hubel raises on purpose; ``str(error)`` is one readable line."""


class UsageError(HubelError):
    """Wrong use: an unknown name, a unit out of range, an empty corpus."""


class ArgumentError(HubelError):
    """Wrong arguments of an instrument, which its caller can repair."""


class UnavailableError(HubelError):
    """Something that is needed is not available here and now."""


class CorruptError(HubelError):
    """A file is not what it should be; the message names it and says how to make it again."""


class BudgetReached(HubelError):
    """The run's budget is used up; what is done is kept, and ``hubel resume`` continues."""
