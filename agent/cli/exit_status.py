"""Exit statuses, and errors as one line for the user.

0   done
1   anything else
2   wrong use; the line says what to do
3   budget reached; resumable
4   some targets failed; resumable
"""

from __future__ import annotations

import errno

from ...tools.errors import ArgumentError, BudgetReached, HubelError, UsageError
from ...tools.files.atomic import DISK_FULL

DONE, FAILED, WRONG_USE, BUDGET, SOME_FAILED = 0, 1, 2, 3, 4

_NO_SPACE = "free some (`hubel cache` shows what hubel keeps), then run the command again"
_ELSEWHERE = "choose a place that you may write to (--runs, --out, HUBEL_CACHE)"
READABLE_ERRNO = {
    errno.ENOSPC: f"no space left on the disk; {_NO_SPACE}",
    errno.EDQUOT: f"the disk quota is used up; {_NO_SPACE}",
    errno.EACCES: f"no permission; {_ELSEWHERE}",
    errno.EPERM: f"not permitted; {_ELSEWHERE}",
    errno.EROFS: f"the file system is read-only; {_ELSEWHERE}",
}
OUT_OF_MEMORY = (
    "cannot allocate memory",
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "failed to map segment",
    "failed to allocate",
    "can't start new thread",
)
"""How libraries that do not raise MemoryError (the loader, torch, Arrow, duckdb) report no memory."""
_NO_MEMORY = (
    "not enough memory: close other programs, raise the limit (`ulimit -v`, a container's), or take "
    "a smaller subject, fewer targets or --dtype bfloat16"
)


def describe_error(error: Exception) -> tuple[int, str] | None:
    """Exit status and one line for an error whose cause is outside hubel.

    None for a defect of hubel, so that the caller shows its traceback.
    """
    if isinstance(error, HubelError):
        return _status_of(error), " ".join(str(error).split())
    if any(sign in str(error).lower() for sign in DISK_FULL):
        return FAILED, READABLE_ERRNO[errno.ENOSPC]
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in OUT_OF_MEMORY):
        return FAILED, _NO_MEMORY
    if isinstance(error, OSError):
        cause = READABLE_ERRNO.get(error.errno or 0) or error.strerror or str(error)
        line = " ".join((cause or type(error).__name__).split())
        return FAILED, f"{error.filename}: {line}" if error.filename else line
    return None


def _status_of(error: HubelError) -> int:
    if isinstance(error, BudgetReached):
        return BUDGET
    return WRONG_USE if isinstance(error, UsageError | ArgumentError) else FAILED
