"""The chain of a run's events, and the one door to them: every reader of the log goes through here.

1. Every event holds its own hash, which is compared with its content when it is read (`segments`), and
   the hash of the event before it, over all segments of a run. The first holds that of nothing.
2. A sealed segment is compared with its hash in the seal before it is parsed.
3. Every event's `previous` is compared with the hash of the event before it.
4. The event with the number that the seal names must be there and have the hash that it names.

Logs from before the chain have no hashes: only what has the wrong form is noticed there. Events
without a hash may come before a chain, when an old run is resumed, but not inside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ...tools.errors import CorruptError
from ...tools.files import file_sha256
from .layout import EVENTS, SEAL
from .seal import Hashes, Seal, read_seal
from .segments import Envelope, read_segment, readable, segments

START = hashlib.sha256(b"").hexdigest()
"""`previous` of the first event."""
FILE = "file"
"""The event that holds the hash of a data file; its id is the path inside the run's folder."""
_CURE = "restore the run from a copy: the log cannot be computed again"


class LogState(NamedTuple):
    """What a log says of itself, after it was read to its end."""

    events: int
    """Number of all events."""
    unchained: int
    """Number of events without a hash, from before the chain."""
    head: str
    """Hash of the last event, which the next one will hold."""
    files: Hashes
    """Data files with the last hash that the log has of each."""
    seal: Seal | None


class ChainReader:
    """Reads the events of a run in order and checks each; `state()` is complete after the last one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seal = read_seal(folder)  # before the list of segments, which only grows
        self._head, self._events, self._unchained = START, 0, 0
        self._files: Hashes = {}

    def __iter__(self) -> Iterator[Envelope]:
        """All complete events.

        Raises:
            CorruptError: a segment is damaged, or the chain does not hold; the message says where.
        """
        paths = segments(self.folder)
        if self._seal is not None:
            check_segments(self.folder, self._seal)
        for path in paths.values():
            for envelope in _read_in_either_form(path):
                self._link(envelope)
                yield envelope
        if self._seal is not None and self._events < self._seal.events:
            raise CorruptError(
                f"{self.folder / EVENTS} has {self._events} events, but {SEAL} says that there were "
                f"{self._seal.events}: the end was removed; {_CURE}"
            )

    def _link(self, envelope: Envelope) -> None:
        """Compare an event with the one before it, and with the seal if it is the last sealed one."""
        self._events += 1
        self._head = follow(envelope, self._head)
        self._unchained += envelope.hash is None
        if envelope.event == FILE:
            self._files[str(envelope.id)] = str(envelope.data()["sha256"])
        seal = self._seal
        if seal is not None and self._events == seal.events and self._head != seal.head:
            raise _broken(envelope, f"it is not the last event that {SEAL} names")

    def state(self) -> LogState:
        """What was read so far."""
        return LogState(self._events, self._unchained, self._head, self._files, self._seal)


def follow(envelope: Envelope, head: str) -> str:
    """The hash at which the chain is after an event; `head` is the one before it.

    Raises:
        CorruptError: the event does not follow on that one.
    """
    if envelope.hash is None:
        if head != START or envelope.previous is not None:
            raise _broken(envelope, "it has no hash, as the events before it have")
        return head
    if envelope.previous != head:
        raise _broken(envelope, "events before it were removed, added or moved")
    return envelope.hash


def check_log(folder: Path) -> LogState:
    """Check a run's log before it is used; once per process, and again when it has grown.

    Of a log that is sealed as a whole it compares the segments' hashes and parses nothing.

    Raises:
        CorruptError: see `ChainReader`.
    """
    return _checked(folder, _signature(folder))


@lru_cache(maxsize=256)
def _checked(folder: Path, signature: tuple[tuple[str, int, int], ...]) -> LogState:
    seal = read_seal(folder)
    if seal is not None and seal.segments.keys() == {name for name, *_ in signature} - {SEAL}:
        check_segments(folder, seal)  # much faster than reading them, and as certain
        return LogState(seal.events, seal.unchained, seal.head, seal.files, seal)
    reader = ChainReader(folder)
    for _ in reader:
        pass
    return reader.state()


def _signature(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """A value that changes when a segment or the seal does."""
    files = [*segments(folder).values(), folder / SEAL]
    status = [(path.name, path.stat()) for path in files if path.exists()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in status)


def _read_in_either_form(path: Path) -> Iterator[Envelope]:
    """The events of a segment, which its writer may be turning into its sealed form."""
    read = 0
    try:
        for envelope in read_segment(path):
            yield envelope
            read += 1
    except FileNotFoundError:
        sealed = path.with_suffix(".parquet")
        if read or not sealed.exists():
            raise CorruptError(f"{path} was removed while it was read; {_CURE}") from None
        yield from read_segment(sealed)


def check_segments(folder: Path, seal: Seal) -> None:
    """Compare the sealed segments with their hashes in the seal."""
    for name, expected in seal.segments.items():
        path = folder / EVENTS / name
        try:
            with readable(path):
                actual = file_sha256(path)
        except FileNotFoundError:
            raise CorruptError(f"{path} is missing, which {SEAL} names; {_CURE}") from None
        if actual != expected:
            raise CorruptError(
                f"{path} was changed after the run ended: it does not have the hash that {SEAL} "
                f"names; {_CURE}"
            )


def _broken(envelope: Envelope, reason: str) -> CorruptError:
    name = " ".join(filter(None, (envelope.event, envelope.target, envelope.id)))
    place = f"{envelope.segment}, line {envelope.position.line + 1} ({name})"
    return CorruptError(f"{place}: the chain of events is broken: {reason}; {_CURE}")
