"""`hubel tool`: call any instrument.

hubel tool                                             the instruments, one line each
hubel tool logit_lens --help                           its description and arguments (--schema: as JSON)
hubel tool logit_lens unit=mlp.12.803 k=5              what an explainer would read
hubel tool logit_lens --json '{"unit": "mlp.12.803"}'  JSON in, JSON out
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....tools.dictionaries.named_source import NamedSource
from ....tools.errors import UsageError
from .. import options, output
from ..exit_status import DONE
from ..instrument_help import manual

if TYPE_CHECKING:
    from ....tools.instruments import Instrument, InstrumentContext
    from ....tools.subject import Subject

NAME = "tool"
HELP = "call any instrument"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The instrument, its arguments, and what it works on."""
    parser.usage = "hubel tool [NAME [KEY=VALUE ...] [--json '{...}'] [--index I] [--subject S]]"
    parser.add_argument("name", nargs="?", help="an instrument (default: list them)")
    parser.add_argument(
        "values",
        nargs="*",
        metavar="KEY=VALUE",
        help="arguments; a value that is not JSON is a string",
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const="{}",
        metavar="OBJECT",
        help="arguments as a JSON object; the result is JSON too",
    )
    parser.add_argument("--schema", action="store_true", help="print the arguments' JSON schema")
    parser.add_argument(
        "--text",
        action="store_true",
        help="print the text that an explainer reads, even with --json",
    )
    parser.add_argument(
        "--index", type=Path, metavar="I", help="folder of an index, which also names the subject"
    )
    parser.add_argument(
        "--subject", metavar="S", help="smollm2-135m, a local folder, or a hub name"
    )
    parser.add_argument(
        "--directions", type=Path, metavar="FILE", help="named directions of the residual stream"
    )
    options.add_dictionaries(parser)
    parser.add_argument(
        "-h", "--help", action="store_true", help="show this help, or that of the instrument"
    )
    options.add_device(parser)
    parser.set_defaults(print_help=parser.print_help)


def run(args: argparse.Namespace) -> int:
    """List the instruments, describe one, or call it."""
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


def _list(entries: Iterable[Instrument], *, as_json: bool) -> None:
    if not as_json:
        rows = [(instrument.name, instrument.summary) for instrument in entries]
        output.table(("instrument", "what it tells"), rows)
        output.line("`hubel tool NAME --help` describes an instrument and its arguments")
        return
    for instrument in entries:
        output.json_line(
            {
                "name": instrument.name,
                "description": instrument.description,
                "needs": list(instrument.needs),
                "schema": instrument.schema(),
            }
        )


def _call(instrument: Instrument, args: argparse.Namespace) -> None:
    arguments = _arguments(args)  # before anything is opened
    result = instrument(_open_context(instrument, args), arguments)
    if args.json is None or args.text:
        output.line("\n".join(result.render().splitlines()))
    else:
        output.json_line(result.to_json())


def _arguments(args: argparse.Namespace) -> dict[str, Any]:
    try:
        arguments = json.loads(args.json or "{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f'--json {args.json[:200]!r} is not JSON ({error}); give an object such as \'{{"unit": "mlp.3.7"}}\''
        ) from None
    if not isinstance(arguments, dict):
        raise UsageError(
            f'--json {args.json[:200]!r} is not an object; give one such as \'{{"unit": "mlp.3.7"}}\''
        )
    return arguments | dict(map(_pair, args.values))


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} given; arguments are KEY=VALUE, or --json '{{...}}'")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value


def _open_context(instrument: Instrument, args: argparse.Namespace) -> InstrumentContext:
    """The index and subject that an instrument needs; the subject is loaded when it is first used.

    Raises:
        UsageError: the instrument needs an index or a subject, and none was named.
    """
    from ....tools.index import Index
    from ....tools.instruments import InstrumentContext

    index = Index.open(args.index) if args.index else None
    if index and index.note:
        output.note(index.note)
    if "index" in instrument.needs and index is None:
        raise UsageError(f"{instrument.name} reads an index; name one with --index")
    name = args.subject or (index.subject_name if index else None)
    if "subject" in instrument.needs and name is None:
        raise UsageError(
            f"{instrument.name} runs the subject; name it with --subject, or an index with --index"
        )

    dictionaries = [NamedSource.parse(text) for text in args.dictionary]

    def load() -> Subject:
        from ....tools.dictionaries.attach import attach_dictionaries, attach_recorded
        from ....tools.index.index_directions import directions_file
        from ....tools.subject import load_subject

        subject = load_subject(
            name or "",
            device=args.device,
            dtype=args.dtype,
            directions=args.directions or (directions_file(index) if index else None),
            progress=output.note,
        )
        attach_dictionaries(subject, dictionaries, output.note)
        gc.freeze()  # what was imported and loaded stays; it need not be searched for garbage
        if index is not None:
            made_with_it = f"the index {str(args.index)!r}"
            subject.require_revision(index.subject_revision, made_with_it)
            attach_recorded(subject, index.dictionaries, made_with_it)
        return subject

    return InstrumentContext(subject=load if name else None, index=index)
