"""`hubel tool`: any instrument by hand.

hubel tool                                             the instruments, one line each
hubel tool logit_lens --help                           its description and arguments;  --schema for JSON
hubel tool logit_lens unit=mlp.12.803 k=5              what an explainer would read
hubel tool logit_lens --json '{"unit": "mlp.12.803"}'  JSON in, JSON out
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....tools.errors import UsageError
from ....tools.files.untrusted_text import escape_control
from .. import options, output
from ..exit_status import DONE
from ..instrument_help import manual

if TYPE_CHECKING:
    from ....tools.index import Index
    from ....tools.instruments import Instrument, InstrumentContext

NAME = "tool"
HELP = "call any instrument"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "hubel tool [NAME [KEY=VALUE ...] [--json '{...}'] [--index I] [--subject S]]"
    parser.add_argument("name", nargs="?", help="an instrument; without one they are listed")
    parser.add_argument(
        "values",
        nargs="*",
        metavar="KEY=VALUE",
        help="arguments; a value is JSON, or else a string",
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const="{}",
        metavar="OBJECT",
        help="arguments as JSON; the answer is JSON too",
    )
    parser.add_argument("--schema", action="store_true", help="print the arguments' JSON schema")
    parser.add_argument(
        "--text", action="store_true", help="print what an explainer reads, also with --json"
    )
    parser.add_argument(
        "--index", type=Path, metavar="I", help="folder of an index; names the subject too"
    )
    parser.add_argument(
        "--subject", metavar="S", help="smollm2-135m, a local folder, or a hub name"
    )
    parser.add_argument(
        "--directions", type=Path, metavar="FILE", help="named directions of the residual stream"
    )
    parser.add_argument(
        "-h", "--help", action="store_true", help="show this help, or that of the instrument"
    )
    options.add_device(parser)
    parser.set_defaults(print_help=parser.print_help)


def run(args: argparse.Namespace) -> int:
    if args.help and not args.name:
        args.print_help()
        return DONE
    from ....tools.instruments import get, instruments

    if not args.name:
        _list(instruments().values(), as_json=args.json is not None)
        return DONE
    instrument = get(args.name)
    if args.help:
        output.line(manual(instrument))
    elif args.schema:
        output.line(json.dumps(instrument.schema(), indent=2))
    else:
        _call(instrument, args)
    return DONE


def _list(entries: Any, *, as_json: bool) -> None:
    if as_json:
        for entry in entries:
            output.json_line(
                {
                    "name": entry.name,
                    "description": entry.description,
                    "needs": list(entry.needs),
                    "schema": entry.schema(),
                }
            )
        return
    output.table(
        ("instrument", "what it tells"), [(entry.name, entry.summary) for entry in entries]
    )
    output.line("hubel tool NAME --help says what an instrument takes")


def _call(instrument: Instrument, args: argparse.Namespace) -> None:
    arguments = _arguments(args)  # before anything is opened
    result = instrument(_bench(instrument, args), arguments)
    if args.json is None or args.text:
        output.line("\n".join(escape_control(line) for line in result.render().splitlines()))
    else:
        output.json_line(result.to_json())


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    try:
        found = json.loads(args.json or "{}")
    except json.JSONDecodeError as error:
        raise UsageError(
            f'--json {args.json!r} is no JSON ({error}); give an object such as \'{{"unit": "mlp.3.7"}}\''
        ) from None
    if not isinstance(found, dict):
        raise UsageError(
            f'--json {args.json!r} is no object; give one such as \'{{"unit": "mlp.3.7"}}\''
        )
    return found | dict(map(_pair, args.values))


def _pair(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found:
        raise UsageError(f"{text!r} given; arguments are KEY=VALUE, or --json '{{...}}'")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _open(folder: Path) -> Index:
    from ....tools.index import Index

    return Index.open(folder)


def _bench(instrument: Instrument, args: argparse.Namespace) -> InstrumentContext:
    """What the instrument works on; nothing is loaded here but the index's description."""
    from ....tools.instruments import InstrumentContext

    index = _open(args.index) if args.index else None
    if "index" in instrument.needs and index is None:
        raise UsageError(f"{instrument.name} reads an index: name one with --index")
    name = args.subject or (index.subject_name if index else None)
    if "subject" in instrument.needs and name is None:
        raise UsageError(
            f"{instrument.name} runs the subject: name it with --subject, or an index with --index"
        )

    def load() -> Any:
        from ....tools.subject import load_subject

        return load_subject(
            name or "", device=args.device, dtype=args.dtype, directions=args.directions
        )

    return InstrumentContext(subject=load if name else None, index=index)
