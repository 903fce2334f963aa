"""`hubel mcp`: serve the instruments to any client of the Model Context Protocol.

hubel mcp --index I                 over standard input and output, as a client starts it
hubel mcp --index I --log NAME      log every call in the run NAME: `hubel show NAME`
hubel mcp --index I --http 8020     over HTTP on this machine, with the token that it prints
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....tools.errors import UsageError
from ...runlog.layout import CONFIG
from ...runlog.model_config import ModelConfig
from .. import options, output
from ..exit_status import DONE, FAILED
from .show import CALLS_ONLY

if TYPE_CHECKING:
    from ....tools.instruments import InstrumentContext
    from ...mcp.dispatch import InstrumentDispatcher

NAME = "mcp"
HELP = "serve the instruments to any MCP client"
INTERRUPTED = "the MCP server is stopped"
TOKEN = "HUBEL_MCP_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which index is served, and how."""
    parser.add_argument(
        "--index",
        type=Path,
        required=True,
        metavar="I",
        help="folder of an index; names the subject",
    )
    parser.add_argument(
        "--directions", type=Path, metavar="FILE", help="named directions of the residual stream"
    )
    parser.add_argument("--log", metavar="NAME", help="log all calls in the run NAME")
    parser.add_argument(
        "--http",
        type=int,
        metavar="PORT",
        help=f"serve HTTP on 127.0.0.1 (0: any free port); token from {TOKEN}, else a new one",
    )
    parser.add_argument(
        "--structured", action="store_true", help="send each answer as JSON in addition to its text"
    )
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until the client disconnects, or until interrupted."""
    if find_spec("mcp") is None:
        raise UsageError(
            "the MCP SDK is not installed; run pip install 'hubel[mcp]', or make setup in a checkout"
        )
    context = _open_context(args)
    if args.log is None:
        _serve(args, context, None)
    else:
        _serve_and_log(args, context)
    return DONE


def _open_context(args: argparse.Namespace) -> InstrumentContext:
    """The index, and its subject, which is loaded when an instrument first needs it."""
    from ....tools.index import Index
    from ....tools.instruments import InstrumentContext

    index, loaded = Index.open(args.index), []
    if index.note:
        output.note(index.note)

    def load() -> Any:
        from ....tools.dictionaries.attach import attach_recorded
        from ....tools.index.index_directions import directions_file
        from ....tools.subject import load_subject

        if not loaded:
            subject = load_subject(
                index.subject_name,
                device=args.device,
                dtype=args.dtype,
                directions=args.directions or directions_file(index),
            )
            gc.freeze()  # what was imported and loaded stays; it need not be searched for garbage
            made_with_it = f"the index {str(args.index)!r}"
            subject.require_revision(index.subject_revision, made_with_it)
            attach_recorded(subject, index.dictionaries, made_with_it)
            loaded.append(subject)
        return loaded[0]

    return InstrumentContext(subject=load, index=index)


def _serve_and_log(args: argparse.Namespace, context: InstrumentContext) -> None:
    from ...runlog.log import RunLog, WriterLock

    folder = args.runs / args.log
    _make_log(folder, args, context)
    with WriterLock(folder):
        log = RunLog(folder)
        try:
            _serve(args, context, log)
        finally:
            log.seal()


def _make_log(folder: Path, args: argparse.Namespace, context: InstrumentContext) -> None:
    """Make the run's folder with its configuration, unless an earlier log has that name.

    Raises:
        UsageError: the name is taken by a run of another kind.
    """
    from ...runlog.config import RunConfig, versions

    if (folder / CONFIG).exists():
        if RunConfig.load(folder).explainer.name != CALLS_ONLY:
            raise UsageError(
                f"{folder} is a run with targets, not a log of calls; give another --log"
            )
        return
    index = context.require_index()
    RunConfig(
        index=str(args.index),
        targets=[],
        explainer=ModelConfig(CALLS_ONLY),
        subject={
            "name": index.subject_name,
            "title": index.subject_title,
            "revision": index.subject_revision,
        },
        corpus={"name": index.corpus_name, "sha256": index.corpus_sha256},
        versions=versions(),
    ).save(folder)


def _serve(args: argparse.Namespace, context: InstrumentContext, log: Any) -> None:
    """Serve the instruments over stdio, or over HTTP if a port was given."""
    import anyio

    from ...mcp.dispatch import InstrumentDispatcher
    from ...mcp.server import make_server, serve_stdio

    dispatcher = InstrumentDispatcher(context, log)
    server = make_server(dispatcher, structured=args.structured)
    if args.http is not None:
        _serve_http(server, args.http)
        return
    stops = (signal.SIGINT, signal.SIGTERM)
    previous = [
        signal.signal(stop, lambda _signal, _frame: _stop_now(dispatcher)) for stop in stops
    ]
    try:
        anyio.run(serve_stdio, server)
    finally:
        for stop, handler in zip(stops, previous, strict=True):
            signal.signal(stop, handler)


def _stop_now(dispatcher: InstrumentDispatcher) -> None:
    """End the process: a thread waits for the client's next line, and only that line would end it."""
    if dispatcher.log is not None:
        dispatcher.log.close()
    output.note(f"hubel: {INTERRUPTED}")
    sys.stderr.flush()
    os._exit(FAILED)


def _serve_http(server: Any, port: int) -> None:
    """Serve on loopback. Clients need the token from the environment or, without one, a new one."""
    import secrets
    import socket

    import uvicorn

    from ...mcp.server import http_app

    token = os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    named = f"TOKEN, as in {TOKEN}" if os.environ.get(TOKEN) else token
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        place = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        output.note(f"instruments at {place}\nAuthorization: Bearer {named}")
        sys.stderr.flush()
        config = uvicorn.Config(http_app(server, token), log_level="warning", lifespan="on")
        uvicorn.Server(config).run(sockets=[listening])
