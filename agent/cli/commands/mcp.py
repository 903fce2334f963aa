"""`hubel mcp`: the instruments for any client of the Model Context Protocol.

hubel mcp --index I                 over standard input and output, as clients start it
hubel mcp --index I --log NAME      every call is an event of the run NAME: `hubel show NAME`
hubel mcp --index I --http 8020     over HTTP on this machine, for who has the token that is printed
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....tools.errors import UsageError
from ...runlog.layout import CONFIG
from ...runlog.model_config import ModelConfig
from .. import options
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
    """Which index, and how it is served."""
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
    parser.add_argument("--log", metavar="NAME", help="keep all calls as the run NAME")
    parser.add_argument(
        "--http",
        type=int,
        metavar="PORT",
        help=f"HTTP on 127.0.0.1 (0: any free port), with the token of {TOKEN}",
    )
    parser.add_argument(
        "--structured", action="store_true", help="answers carry their JSON beside their text"
    )
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until the client goes, or until interrupted."""
    if find_spec("mcp") is None:
        raise UsageError(
            "the MCP SDK is not installed: pip install 'hubel[mcp]', or make setup in a checkout"
        )
    bench = _bench(args)
    if args.log is None:
        _serve(args, bench, None)
    else:
        _serve_and_log(args, bench)
    return DONE


def _bench(args: argparse.Namespace) -> InstrumentContext:
    from ....tools.index import Index
    from ....tools.instruments import InstrumentContext

    index, loaded = Index.open(args.index), []

    def load() -> Any:
        from ....tools.subject import load_subject

        if not loaded:
            subject = load_subject(
                index.subject_name, device=args.device, dtype=args.dtype, directions=args.directions
            )
            subject.require_revision(index.subject_revision, f"the index {str(args.index)!r}")
            loaded.append(subject)
        return loaded[0]

    return InstrumentContext(subject=load, index=index)


def _serve_and_log(args: argparse.Namespace, bench: InstrumentContext) -> None:
    from ...runlog.log import RunLog, WriterLock, seal_segments

    folder = args.runs / args.log
    _make_log(folder, args, bench)
    with WriterLock(folder):
        log = RunLog(folder)
        try:
            _serve(args, bench, log)
        finally:
            log.close()
            seal_segments(folder)


def _make_log(folder: Path, args: argparse.Namespace, bench: InstrumentContext) -> None:
    """A folder with a configuration, as every run has; an earlier log of the same name is gone on with."""
    from ...runlog.config import RunConfig, versions

    if (folder / CONFIG).exists():
        if RunConfig.load(folder).explainer.name != CALLS_ONLY:
            raise UsageError(f"{folder} is a run of another kind; give another --log")
        return
    index = bench.require_index()
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


def _serve(args: argparse.Namespace, bench: InstrumentContext, log: Any) -> None:
    import anyio

    from ...mcp.dispatch import InstrumentDispatcher
    from ...mcp.server import make_server, serve_stdio

    desk = InstrumentDispatcher(bench, log)
    server = make_server(desk, structured=args.structured)
    if args.http is not None:
        _serve_http(server, args.http)
        return
    previous = signal.signal(signal.SIGINT, lambda _signal, _frame: _stop_now(desk))
    try:
        anyio.run(serve_stdio, server)
    finally:
        signal.signal(signal.SIGINT, previous)


def _stop_now(desk: InstrumentDispatcher) -> None:
    """Leave at once: a thread waits for the client's next line, and nothing but that line would end it."""
    if desk.log is not None:
        desk.log.close()
    sys.stderr.write(f"hubel: {INTERRUPTED}\n")
    sys.stderr.flush()
    os._exit(FAILED)


def _serve_http(server: Any, port: int) -> None:
    import secrets
    import socket

    import uvicorn

    from ...mcp.server import http_app

    token = os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        place = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        sys.stderr.write(f"instruments at {place}\nAuthorization: Bearer {token}\n")
        sys.stderr.flush()
        config = uvicorn.Config(http_app(server, token), log_level="warning", lifespan="on")
        uvicorn.Server(config).run(sockets=[listening])
