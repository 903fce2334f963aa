"""Errors that a library raises on a stranger's file, as one line of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import HubelError, UsageError


@contextmanager
def as_usage_error(what: str) -> Iterator[None]:
    """Turn whatever a library raises on a stranger's file into a UsageError that says `what`.

    The library's code does not check these files, so any exception is possible. BaseException is
    needed for panics of libraries in Rust (tokenizers, safetensors): their class, PanicException, is
    not an Exception and cannot be imported. Ctrl-C and SystemExit pass through.
    """
    try:
        yield
    except HubelError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UsageError(f"{what}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The most telling line of a library's error: of several, the last that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # Validators of transformers first say which one failed, then why.
    telling = lines[-1] if "alidation error" in lines[0] else lines[0]
    label = f"{type(error).__name__}: " if isinstance(error, KeyError | AttributeError) else ""
    return (label + telling)[:300].rstrip(".")
