"""`hubel dictionary check`: shapes, place, and the variance that a dictionary explains on a little text."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ...runlog.progress import progress
from .. import options, output
from ..exit_status import DONE

if TYPE_CHECKING:
    from ....tools.dictionaries.check import FitReport
    from ....tools.dictionaries.dictionary import Dictionary
    from ....tools.subject.address import Site

DEFAULT_NAME = "checked"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which dictionary, which subject, and on which text."""
    parser.add_argument("dictionary", metavar="NAME|PATH", help="a folder, file or hub name")
    parser.add_argument(
        "--subject", required=True, metavar="S", help="smollm2-135m, a local folder, or a hub name"
    )
    add_places(parser)
    parser.add_argument(
        "--corpus", default="lee-news", metavar="C", help=f"{options.CORPORA} (default: lee-news)"
    )
    options.add_text_column(parser)
    parser.add_argument(
        "--tokens", type=int, default=1024, metavar="N", help="tokens to check on (default: 1024)"
    )
    options.add_device(parser)


def add_places(parser: argparse.ArgumentParser) -> None:
    """Where a dictionary reads and writes, if its files do not say so."""
    parser.add_argument(
        "--at",
        default="",
        metavar="PLACE",
        help="where it reads, if its files do not say so or are wrong: stream.12 (after layer 12), "
        "mid.12, attn_out.12, z.12, mlp_in.12, mlp.12, mlp_out.12",
    )
    parser.add_argument(
        "--writes", default="", metavar="PLACE", help="where a transcoder writes, e.g. mlp_out.12"
    )


def run(args: argparse.Namespace) -> int:
    """Print what was measured; a dictionary that does not fit is an error, after that."""
    from ....tools.corpus import read_corpus
    from ....tools.dictionaries.placed import check_dictionary, misfit, placed
    from ....tools.dictionaries.read import read_dictionary
    from ....tools.subject import load_subject

    if args.tokens < 64:
        raise UsageError(f"--tokens {args.tokens}: give at least 64")
    dictionary = read_dictionary(
        args.dictionary, DEFAULT_NAME, reads=place_option(args.at), writes=place_option(args.writes)
    )
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(
            args.subject, device=args.device, dtype=args.dtype, progress=reporter.say
        )
    placed(subject, dictionary)  # before any text is read
    corpus = read_corpus(options.corpus(args))
    texts: Iterator[str] = (document.text for document in corpus.documents)
    report = check_dictionary(subject, dictionary, texts, args.tokens)
    reason = misfit(subject, dictionary, report)
    show(dictionary, report, as_json=args.json)
    if reason:
        raise UsageError(reason)
    return DONE


def place_option(text: str) -> Site | None:
    """The place that an option names, such as stream.12; None if it was not given.

    Raises:
        UsageError: there is no such kind of place, or the layer is no number.
    """
    from ....tools.dictionaries.places import parse_place

    return parse_place(text) if text else None


def show(dictionary: Dictionary, report: FitReport, *, as_json: bool) -> None:
    """One JSON object, or a few lines."""
    if as_json:
        output.json_line(_row(dictionary, report))
        return
    kind = "transcoder" if dictionary.is_transcoder else "autoencoder"
    width, size = dictionary.encoder.shape
    activation = type(dictionary.activation).__name__
    output.line(f"{kind} of {size:,} latents ({activation}), width {width}")
    to = f" -> {dictionary.writes}" if dictionary.is_transcoder else ""
    output.line(f"place: {dictionary.reads}{to}; model in its files: {dictionary.model or '-'}")
    output.line(
        f"variance explained: {report.own.explained:.3f} (permuted decoder rows: {report.shuffled:.3f}), "
        f"on {report.n_tokens} tokens"
    )
    output.line(
        f"latents that fire: {report.l0:.1f} a token; {report.silent:.0%} fire nowhere here"
    )
    if report.best != report.own:
        output.line(f"best place: {report.best.reads} ({report.best.explained:.3f})")
    for note in dictionary.notes:
        output.line(f"note: {note}")
    if report.fits:
        output.line("it fits")


def _row(dictionary: Dictionary, report: FitReport) -> dict[str, object]:
    return {
        "source": dictionary.source,
        "kind": "transcoder" if dictionary.is_transcoder else "autoencoder",
        "activation": type(dictionary.activation).__name__,
        "width": dictionary.encoder.shape[0],
        "latents": dictionary.n_latents,
        "model": dictionary.model or None,
        "reads": str(dictionary.reads),
        "writes": str(dictionary.writes),
        "explained": report.own.explained,
        "shuffled": report.shuffled,
        "best_reads": str(report.best.reads),
        "best_writes": str(report.best.writes),
        "best_explained": report.best.explained,
        "l0": report.l0,
        "silent": report.silent,
        "tokens": report.n_tokens,
        "fits": report.fits,
        "notes": list(dictionary.notes),
    }
