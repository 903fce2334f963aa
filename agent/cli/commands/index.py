"""`hubel index`: run a subject over a corpus once, or one shard of it; `hubel index merge`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....tools.dictionaries.named_source import NamedSource
from ....tools.errors import UsageError
from ...runlog.progress import progress
from .. import merge_index, options, output
from .. import parser as parsers
from ..exit_status import DONE
from ..index_summary import describe, describe_store
from ..parser import Action

if TYPE_CHECKING:
    from ....tools.corpus import Corpus
    from ....tools.index import Index, IndexSummary
    from ....tools.index.activation_store.folder import StoreChoice
    from ....tools.index.shards.shard import Shard
    from ....tools.subject import Subject
    from ...runlog.progress import Reporter

NAME = "index"
HELP = "run a subject over a corpus once: statistics and exemplars of every unit"
INTERRUPTED = "stopped; what is done is kept, and the same command continues"
SITES = ("mlp", "head", "resid", "sae")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which subject reads which text, and which of its units are indexed."""
    # Required, but not by the action `merge`: `_check_options` looks for them.
    parser.add_argument(
        "--subject", metavar="S", help="smollm2-135m, a local folder, or a hub name (required)"
    )
    parser.add_argument("--corpus", metavar="C", help=f"{options.CORPORA} (required)")
    options.add_text_column(parser)
    parser.add_argument("--out", type=Path, metavar="I", help="folder of the index (required)")
    parser.add_argument(
        "--shard",
        metavar="N/COUNT",
        help="compute only part N of COUNT, such as 3/16, into --out; `hubel index merge` makes the "
        "index of all parts",
    )
    parser.add_argument(
        "--sites",
        metavar="S,S",
        help=f"kinds of units, of {', '.join(SITES)} (default: mlp,head, and sae with --dictionary)",
    )
    options.add_dictionaries(parser)
    parser.add_argument(
        "--directions",
        type=Path,
        metavar="FILE",
        help="named directions of the residual stream, for the site resid",
    )
    parser.add_argument(
        "--from-store",
        type=Path,
        metavar="INDEX",
        help="read no text: compute the units from the activation store of a finished index of the "
        "same subject and corpus",
    )
    options.add_reading(parser, "--max-tokens")
    parser.add_argument(
        "--store-bits",
        type=int,
        choices=(8, 16),
        help="size of each stored number: 8 takes half the disk, and keeps a layer in 16 where "
        "activations would correlate by less than 0.9995 with the true ones (default: 16, or 8 "
        "where --store auto has room only for that)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the random exemplars (default: 0)"
    )
    options.add_device(parser)
    options.add_engine(parser)
    parsers.add_actions(parser, ACTIONS)


def run(args: argparse.Namespace) -> int:
    """Build or complete the index, and print what it holds; or merge shards."""
    from ....tools.index.shards.shard import Shard

    if args.action is not None:
        return parsers.run_action(NAME, ACTIONS, args)
    sites, layers = _sites(args), parse_layers(args.layers)
    _check_options(args, sites)
    shard = Shard.parse(args.shard) if args.shard else None
    store = parse_store(args.store)
    from ....tools.corpus import read_corpus
    from ....tools.dictionaries.attach import attach_dictionaries
    from ....tools.index import Index, build_index, index_shard
    from ....tools.subject import load_subject

    dictionaries = [NamedSource.parse(text) for text in args.dictionary]
    corpus = read_corpus(options.corpus(args))
    origin = Index.open(args.from_store) if args.from_store else None
    if origin:
        _check_same_text(args, origin, corpus)
    if options.engine(args).name != "local":
        return _run_on_engine(args, corpus, sites, layers, store)
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(
            args.subject,
            device=args.device,
            dtype=args.dtype,
            directions=args.directions,
            progress=reporter.say,
        )
        documents = () if args.unchecked_dictionaries else corpus.documents
        attach_dictionaries(subject, dictionaries, reporter.say, documents)
        # `--quiet` is about progress and suppresses no warning
        warn = output.note if args.quiet else reporter.say
        if origin:
            summary = _index_from_store(args, subject, origin, sites, layers, reporter, warn)
        else:
            settings: Any = {
                "sites": sites,
                "layers": layers,
                "max_tokens": args.corpus_tokens,
                "context_len": args.context_len,
                "seed": args.seed,
                "progress": reporter,
                "store": store,
                "store_bits": args.store_bits,
                "warn": warn,
                "say": reporter.say,
            }
            if shard:
                summary = index_shard(subject, corpus, args.out, shard, **settings)
            else:
                summary = build_index(subject, corpus, args.out, **settings)
    _show(args, summary, shard)
    _say_what_is_left_out(corpus)
    return DONE


def _run_on_engine(
    args: argparse.Namespace,
    corpus: Corpus,
    sites: tuple[str, ...],
    layers: list[int] | None,
    store: StoreChoice,
) -> int:
    from ..index_engine import build_on_engine

    with progress(quiet=args.quiet) as reporter:
        warn = output.note if args.quiet else reporter.say
        summary = build_on_engine(args, corpus, sites, layers, store, reporter, warn)
    _show(args, summary, None)
    _say_what_is_left_out(corpus)
    return DONE


def _show(args: argparse.Namespace, summary: IndexSummary, shard: Shard | None) -> None:
    from ....tools.index.activation_store.layout import store_bytes

    of_shard = {"shard": str(shard)} if shard else {}
    if args.json:
        output.json_line(asdict(summary) | {"store_bytes": store_bytes(args.out)} | of_shard)
    else:
        named = f"shard {shard}, " if shard else ""
        output.line(f"{args.out}: {named}{describe(summary)}{describe_store(args.out)}")


def _say_what_is_left_out(corpus: Corpus) -> None:
    if left_out := corpus.documents.left_out:
        output.note(f"{left_out} rows or files of the corpus have no text and are left out")


def _index_from_store(
    args: argparse.Namespace,
    subject: Subject,
    origin: Index,
    sites: tuple[str, ...],
    layers: list[int] | None,
    reporter: Reporter,
    warn: Callable[[str], None],
) -> IndexSummary:
    from ....tools.index import index_derived_units
    from ....tools.index.build import choose_sites
    from ....tools.index.derived_units import own_units

    units = [own_units(subject, site) for site in choose_sites(subject.shape, sites, layers)]
    return index_derived_units(
        subject, origin, units, args.out, seed=args.seed, progress=reporter, say=warn
    )


def _check_same_text(args: argparse.Namespace, origin: Index, corpus: Corpus) -> None:
    """Raise UsageError unless the text that is asked for is that of the index with the store."""
    name = f"--from-store {str(args.from_store)!r}"
    if corpus.sha256 != origin.corpus_sha256:
        raise UsageError(
            f"{name} is an index over {origin.corpus_name}, not over this {corpus.name}; give "
            "an index over the same text, or leave out --from-store"
        )
    if args.context_len != origin.context_len:
        raise UsageError(
            f"{name} has contexts of {origin.context_len} tokens; "
            f"give --context-len {origin.context_len}, or leave out --from-store"
        )
    if args.corpus_tokens is not None:
        raise UsageError(f"--max-tokens: the text is all that of {name}; leave out one of them")


def _check_options(args: argparse.Namespace, sites: tuple[str, ...]) -> None:
    """Raise UsageError for wrong options before a model is loaded."""
    required = ("subject", "corpus", "out")
    if missing := [f"--{name}" for name in required if getattr(args, name) is None]:
        raise UsageError(
            f"the following arguments are required: {', '.join(missing)}; "
            f"`hubel {NAME} --help` lists the options"
        )
    if args.shard and args.from_store:
        raise UsageError("--shard reads text, and --from-store reads none: leave out one of them")
    if "resid" in sites and args.directions is None:
        raise UsageError("the site resid needs named directions; give a file with --directions")
    if ("sae" in sites) != bool(args.dictionary):
        raise UsageError(
            "the site sae is of the latents of dictionaries, given as --dictionary NAME=PATH: give both "
            "or neither"
        )
    options.check_reading(args)
    if options.engine(args).name != "local":
        from ..index_engine import check_engine_options

        check_engine_options(args)
    if args.out.exists() and not args.out.is_dir():
        raise UsageError(f"--out {str(args.out)!r} is a file; name a folder")


def _sites(args: argparse.Namespace) -> tuple[str, ...]:
    """The kinds of units; by default neurons, heads, and the latents of the dictionaries given."""
    if args.sites is not None:
        return parse_sites(args.sites)
    return ("mlp", "head", "sae") if args.dictionary else ("mlp", "head")


def parse_sites(text: str) -> tuple[str, ...]:
    """The sites of ``mlp,head``, without duplicates.

    Raises:
        UsageError: a site is unknown or not supported.
    """
    sites = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not sites or set(sites) - set(SITES):
        raise UsageError(f"--sites {text!r} given; choose from {', '.join(SITES)}")
    return sites


def parse_store(text: str) -> StoreChoice:
    """``auto``, ``all``, ``none`` or layers.

    Raises:
        UsageError: something else.
    """
    if text == "auto" or text == "all" or text == "none":
        return text
    try:
        return parse_layers(text) or []
    except UsageError as error:
        raise UsageError(
            f"--store {text!r} given; expected auto, all, none, or layers such as 1,10,20-23"
        ) from error


def parse_layers(text: str | None) -> list[int] | None:
    """The layers of ``1,10,20-23``, sorted; None stays None.

    Raises:
        UsageError: not numbers and ranges, or a range that runs backwards.
    """
    if text is None:
        return None
    layers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        is_range = first.isdecimal() and (last.isdecimal() if dash else True)
        if not is_range or int(last or first) < int(first):
            raise UsageError(
                f"--layers {text!r} given; expected numbers and ranges such as 1,10,20-23"
            )
        layers |= set(range(int(first), int(last or first) + 1))
    return sorted(layers)


ACTIONS: dict[str, Action] = {
    "merge": Action(
        "make an index of its shards, the same as from one pass",
        merge_index.add_arguments,
        merge_index.run,
        merge_index.INTERRUPTED,
    )
}
