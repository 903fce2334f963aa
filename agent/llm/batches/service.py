"""A provider's batch API: one protocol, and what all of them share.

A batch has a name of our own, written to the log before anything is sent. Each of its requests has
the custom id ``NAME-PLACE``. Results come in any order; some may be missing, twice, or of another
batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ....tools.errors import UsageError
from ..connection import TIMEOUT_S, Limits
from ..errors import Busy, Rejected

if TYPE_CHECKING:
    from ...runlog.model_config import ModelConfig
    from ..connection import Connection
    from ..conversation import Request

MAX_REQUESTS = 1000
"""Requests of one batch. Providers take 50,000 (OpenAI, 200 MB) and 100,000 (Anthropic, 256 MB). With
fewer, the results of one batch (about 3 KB a request) are read in one piece, and one that fails or
expires costs less time."""
MAX_WITH_LOGPROBS = 100
"""The same with log-probabilities, whose results take up to 1 MB a request."""
BATCH_LIMITS = Limits(TIMEOUT_S, 256 << 20)
"""Of one answer of a batch API: results of a whole batch, ten times as much as is expected."""
NO_SUCH_API = (404, 405, 501)
"""HTTP states of a server without a batch API."""


class BatchStatus(NamedTuple):
    """How far a batch is."""

    ended: bool
    word: str
    """The provider's own word: in_progress, completed, expired, ..."""
    done: int
    failed: int
    total: int
    """0 while it is not known."""
    why: str = ""
    """Why the provider refused the whole batch; "" if it did not."""
    files: tuple[str, ...] = ()
    """Ids of the files with results, where results are in files."""


class BatchResult(NamedTuple):
    """What became of one request."""

    custom_id: str
    body: dict[str, Any] | None
    """The answer, as it would have come by itself; None if there is none."""
    error: str = ""
    """Why there is none."""
    ran: bool = True
    """Whether the provider tried it: not so if the batch expired or was cancelled before."""


class SentBatch(NamedTuple):
    """What is known of a batch whose id at the provider was not written down."""

    name: str
    requests: int
    """How many."""
    at: float
    """When it was sent at the earliest, in seconds since 1970."""
    file: str = ""
    """Id of the uploaded file, where requests are in a file."""
    others: frozenset[str] = frozenset()
    """Ids of other batches of this run."""


class Sought(NamedTuple):
    """The result of a search for a batch."""

    id: str = ""
    """"" if it was not found."""
    maybe_running: bool = False
    """Whether a batch that is still running may be it."""


class BatchService(Protocol):
    """Batches of one model on one server. Calls are made once; errors as of a `Connection`."""

    where: str
    connection: Connection

    def check(self) -> None:
        """Raise UsageError unless the server has a batch API. Free."""
        ...

    def upload(self, name: str, requests: Sequence[Request]) -> str:
        """Upload the requests, where a batch is made from a file; its id, or "". Nothing runs yet."""
        ...

    def create(self, name: str, requests: Sequence[Request], file: str) -> str:
        """Make the provider run the requests, which costs money; the batch's id."""
        ...

    def find(self, sent: SentBatch) -> Sought:
        """Look for a batch that may have been created."""
        ...

    def status(self, id: str) -> BatchStatus:
        """How far a batch is."""
        ...

    def results(self, id: str, status: BatchStatus) -> list[BatchResult]:
        """All results of a batch that has ended."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def connect_batches(config: ModelConfig) -> BatchService:
    """The batch API of a model's provider. Nothing is sent.

    Raises:
        UsageError: the name is not of the form ``provider:MODEL``, or there is no key.
    """
    module = import_module(f".{config.provider}_batches", __package__)
    return module.connect(config)


def custom_id(name: str, place: int) -> str:
    """The id of a request of a batch."""
    return f"{name}-{place}"


def place_of(name: str, id: str) -> int | None:
    """The place of a request; None if it is none of this batch's."""
    begin, _, digits = id.rpartition("-")
    return int(digits) if begin == name and digits.isdecimal() and len(digits) < 10 else None


def json_lines(content: bytes, where: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file; Busy if it was cut short."""
    for line in content.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Busy(f"the results of {where} are cut short or no JSON lines") from error
        if isinstance(value, dict):
            yield value


def or_no_batches(where: str, call: Callable[[], Any]) -> None:
    """Make a call that any server with a batch API answers.

    Raises:
        UsageError: the server has none, or refuses the key.
    """
    try:
        call()
    except Rejected as error:
        if error.status in NO_SUCH_API:
            raise UsageError(
                f"{where} has no batch API (it answers {error.status}): leave out --batch"
            ) from error
        raise UsageError(str(error)) from error
