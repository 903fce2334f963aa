"""`hubel index`: one pass of a subject over a corpus."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from ...runlog.progress import progress
from .. import options, output
from ..exit_status import DONE

if TYPE_CHECKING:
    from ....tools.index import IndexSummary

NAME = "index"
HELP = "run a subject over a corpus once: statistics and exemplars of every unit"
INTERRUPTED = "stopped; what is done is kept, and the same command goes on"
SITES = ("mlp", "head", "resid")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--subject", required=True, metavar="S", help="smollm2-135m, a local folder, or a hub name"
    )
    parser.add_argument(
        "--corpus", required=True, metavar="C", help="lee-news, wiki-sample, a file, or a hub name"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="I", help="folder of the index")
    parser.add_argument(
        "--sites", default="mlp,head", help=f"of {','.join(SITES)} (default: mlp,head)"
    )
    parser.add_argument("--layers", help="only these, e.g. 1,10,20-23 (default: all)")
    parser.add_argument(
        "--directions", type=Path, metavar="FILE", help="named directions, for the site resid"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="stop reading the corpus there")
    parser.add_argument(
        "--context-len", type=int, default=64, metavar="N", help="tokens of a context (default: 64)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random exemplars (default: 0)")
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    sites, layers = parse_sites(args.sites), parse_layers(args.layers)
    _check(args, sites)
    from ....tools.corpus import read_corpus
    from ....tools.index import build_index
    from ....tools.subject import load_subject

    corpus = read_corpus(args.corpus)
    with progress(quiet=args.quiet) as report:
        subject = load_subject(
            args.subject, device=args.device, dtype=args.dtype, directions=args.directions
        )
        summary = build_index(
            subject,
            corpus,
            args.out,
            sites=sites,
            layers=layers,
            max_tokens=args.max_tokens,
            context_len=args.context_len,
            seed=args.seed,
            progress=report,
        )
    if args.json:
        output.json_line(asdict(summary))
    else:
        output.line(f"{args.out}: {describe(summary)}")
    return DONE


def describe(summary: IndexSummary) -> str:
    """One line for people: what was indexed, how fast, and how much of the time was the model's own."""
    seconds = max(summary.total_seconds, 1e-9)
    return (
        f"{summary.units:,} units over {summary.tokens:,} tokens in {seconds:.0f} s ({summary.tokens / seconds:,.0f} "
        f"tokens/s, {summary.forward_seconds / seconds:.0%} of the time the model's own pass), "
        f"{output.size(summary.bytes)}, peak memory {summary.peak_rss_mb:,.0f} MB"
    )


def _check(args: argparse.Namespace, sites: tuple[str, ...]) -> None:
    """What can be seen to be wrong before a model is loaded."""
    if "resid" in sites and args.directions is None:
        raise UsageError("the site resid needs named directions: give a file with --directions")
    if args.context_len < 2:
        raise UsageError(
            f"--context-len {args.context_len} given; a context has at least 2 tokens, as the first is left out"
        )
    if args.max_tokens is not None and args.max_tokens < 1:
        raise UsageError(f"--max-tokens {args.max_tokens} given; give at least 1")
    if args.out.exists() and not args.out.is_dir():
        raise UsageError(f"--out {str(args.out)!r} is a file; name a folder")


def parse_sites(text: str) -> tuple[str, ...]:
    """``mlp,head``; raises UsageError."""
    sites = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if "sae" in sites:
        raise UsageError("the site sae is reserved for sparse autoencoders: not yet")
    if not sites or set(sites) - set(SITES):
        raise UsageError(f"--sites {text!r} given; choose of {', '.join(SITES)}")
    return sites


def parse_layers(text: str | None) -> list[int] | None:
    """``1,10,20-23``; None stays None; raises UsageError."""
    if text is None:
        return None
    layers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(
                f"--layers {text!r} given; expected numbers and ranges such as 1,10,20-23"
            )
        layers |= set(range(int(first), int(last or first) + 1))
    return sorted(layers)
