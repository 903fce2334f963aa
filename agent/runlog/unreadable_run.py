"""The one line about a run that is not as any version of hubel writes it."""

from __future__ import annotations

from pathlib import Path

MAX_REASON = 300
"""Characters of the error's own message."""


def unreadable_run(folder: Path, error: Exception) -> str:
    """The message for an error that was raised while a run's files were read."""
    if isinstance(error, OSError):
        return f"{error.filename or folder}: {error.strerror or error}"
    reason = " ".join(str(error).split())[:MAX_REASON]
    return (
        f"{folder} cannot be read ({type(error).__name__}: {reason}): it was changed, or another "
        "program wrote it; restore it from a copy"
    )
