"""`hubel index --engine ray`: what the workers of an engine are asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...tools.errors import UsageError
from ..engine import SubjectChoice
from ..engine.index_pieces import holding, index_on_engine, shards_folder
from ..engine.index_plan import IndexOrder
from ..engine.opening import open_engine
from ..runlog.progress import Reporter
from . import options

if TYPE_CHECKING:
    from ...tools.corpus import Corpus
    from ...tools.index import IndexSummary
    from ...tools.index.activation_store.folder import StoreChoice


def check_engine_options(args: argparse.Namespace) -> None:
    """Raise UsageError for options of `hubel index` that need the subject in this process."""
    name = f"--engine {args.engine}"
    if args.from_store:
        raise UsageError(f"{name} reads text, and --from-store none: leave out one of them")
    if args.shard:
        raise UsageError(f"{name} computes all shards: leave out --shard")


def build_on_engine(
    args: argparse.Namespace,
    corpus: Corpus,
    sites: tuple[str, ...],
    layers: Sequence[int] | None,
    store: StoreChoice,
    reporter: Reporter,
    warn: Callable[[str], None],
) -> IndexSummary:
    """Build or complete the index on the engine that the options name."""
    from ...tools.subject.load import subject_revision

    subject = SubjectChoice(
        args.subject,
        subject_revision(args.subject),
        args.device,
        args.dtype,
        args.directions,
        tuple(args.dictionary),
    )
    order = IndexOrder(
        subject,
        options.corpus(args),
        corpus.sha256,
        sites,
        None if layers is None else tuple(layers),
        args.corpus_tokens,
        args.context_len,
        args.seed,
        store if isinstance(store, str) else tuple(store),
        args.store_bits,
    )
    check = bool(args.dictionary) and not args.unchecked_dictionaries
    choice, folder = options.engine(args), shards_folder(args.out)
    with holding(args.out), open_engine(choice, folder, reporter.say) as engine:
        return index_on_engine(engine, order, args.out, reporter, warn, check=check)
