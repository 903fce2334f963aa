"""Every error that hubel raises on purpose.

    HubelError            the message says what was given, what was expected, and what to do
    ├── UsageError        the caller's words are off: status 2
    ├── ArgumentError     an instrument's arguments are off; whoever called it can repair them
    ├── UnavailableError  something outside is missing: a hub, a registry, a package, a key, space on the disk
    ├── CorruptError      a file of ours is cut short or not what its hash says
    └── BudgetReached     a run's budget is used up: exit status 3, resumable

Whatever else is raised is a defect of hubel or of a library. It is caught in one place only, the
boundary of an investigation (`agent.run.execute`), which writes it to the log as a failure of that
target.
"""

from __future__ import annotations


class HubelError(Exception):
    """Base of all errors that hubel raises on purpose; ``str(error)`` is one readable line."""


class UsageError(HubelError):
    """Wrong use: an unknown name, a unit out of range, an empty corpus."""


class ArgumentError(HubelError):
    """Arguments of an instrument that whoever called it can repair."""


class UnavailableError(HubelError):
    """Something that is needed cannot be had here and now."""


class CorruptError(HubelError):
    """A file is not what it should be; the message names it and says how to make it anew."""


class BudgetReached(HubelError):
    """The run's budget is used up; what is done is kept and ``hubel resume`` goes on."""
