"""`hubel dictionary train`: train a TopK autoencoder or transcoder on a subject's vectors."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.errors import UsageError
from .. import options, output
from ..exit_status import DONE

if TYPE_CHECKING:
    from ....tools.dictionaries.train.train import TrainOutcome
    from ....tools.index import Index
    from ....tools.subject.address import Site

INTERRUPTED = "stopped; what is done is kept, and the same command continues"
SITES = "resid.12 (also stream.12), mid.12, mlp_in.12, mlp_out.12, and mlp.12 with --transcoder"
_SITE = re.compile(r"(resid|stream|mid|mlp_in|mlp_out|mlp)\.(\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is trained on what."""
    parser.add_argument(
        "--subject",
        default="smollm2-135m",
        metavar="S",
        help="the subject (default: smollm2-135m)",
    )
    parser.add_argument("--site", required=True, metavar="SITE", help=f"whose vectors: {SITES}")
    parser.add_argument("--latents", type=int, required=True, metavar="N", help="number of latents")
    parser.add_argument(
        "--k", type=int, required=True, metavar="K", help="latents that may be active on a token"
    )
    parser.add_argument("--corpus", metavar="C", help=options.CORPORA)
    options.add_text_column(parser)
    parser.add_argument(
        "--index",
        type=Path,
        metavar="I",
        help="an index instead of a corpus: its explore text, from its activation store if it has "
        "one, so that no text is read again",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="folder of the dictionary"
    )
    parser.add_argument(
        "--transcoder",
        action="store_true",
        help="from what the MLP of the layer reads to what it writes",
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=1_000_000,
        metavar="N",
        help="tokens to train on; text is read again as often as needed (default: 1,000,000)",
    )
    parser.add_argument(
        "--batch", type=int, default=512, metavar="N", help="tokens of a step (default: 512)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="Adam's learning rate (default: 1e-3 at 4,096 latents, less for more)",
    )
    parser.add_argument(
        "--context-len",
        type=int,
        default=options.CONTEXT_LEN,
        metavar="N",
        help=f"tokens per context of a corpus (default: {options.CONTEXT_LEN})",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of first weights and order (default: 0)"
    )
    options.add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Train, or go on with a training, and print how good the dictionary is."""
    reads, writes = parse_site(args.site, transcoder=args.transcoder)
    if (args.corpus is None) == (args.index is None):
        raise UsageError("give either --corpus or --index")
    if args.context_len < 2:
        raise UsageError(f"--context-len {args.context_len}: give at least 2")
    from ....tools.corpus import read_corpus
    from ....tools.dictionaries.train.settings import TrainSettings
    from ....tools.dictionaries.train.text import CorpusText
    from ....tools.dictionaries.train.train import train_dictionary
    from ....tools.index import Index
    from ....tools.subject import load_subject
    from ...runlog.progress import progress

    source: CorpusText | Index = (
        CorpusText(read_corpus(options.corpus(args)), args.context_len)
        if args.index is None
        else Index.open(args.index)
    )
    settings = TrainSettings(
        reads=reads,
        writes=writes,
        latents=args.latents,
        k=args.k,
        tokens=args.tokens,
        seed=args.seed,
        batch=args.batch,
        rate=args.rate,
    )
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(
            args.subject, device=args.device, dtype=args.dtype, progress=reporter.say
        )
        outcome = train_dictionary(subject, settings, source, args.out, report=reporter)
    _print(args, outcome)
    return DONE


def parse_site(text: str, *, transcoder: bool) -> tuple[Site, Site]:
    """Where a dictionary reads and writes.

    Raises:
        UsageError: no such site, or one that a transcoder cannot have.
    """
    from ....tools.subject.address import Site

    match = _SITE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--site {text!r} given; expected {SITES}")
    hook, layer = match[1], int(match[2])
    if transcoder:
        if not hook.startswith("mlp"):
            raise UsageError(f"--transcoder with --site {text!r} given; expected mlp.{layer}")
        return Site("mlp_in", layer), Site("mlp_out", layer)
    if hook == "mlp":
        raise UsageError(
            f"--site {text!r} is for --transcoder; give mlp_in.{layer} or mlp_out.{layer} for an "
            "autoencoder of what the MLP reads or writes"
        )
    names = {"resid": "stream", "stream": "stream", "mid": "mid", "mlp_in": "mlp_in"}
    place = Site(names.get(hook, "mlp_out"), layer)  # pyright: ignore[reportArgumentType]
    return place, place


def _print(args: argparse.Namespace, outcome: TrainOutcome) -> None:
    figures = outcome.figures
    if args.json:
        paths = {tool: str(args.out / form) for tool, form in outcome.forms.items()}
        row = {"out": str(args.out), "site": args.site, "latents": args.latents, "k": args.k}
        output.json_line(row | asdict(figures) | {"forms": paths, "notes": outcome.notes})
        return
    output.line(f"{args.out}: {args.latents:,} latents, trained on {figures.tokens:,} tokens")
    output.line(
        f"on {figures.measured_tokens:,} held-back tokens: {figures.explained_variance:.1%} of the "
        f"variance explained, {figures.l0:.1f} latents active a token"
    )
    output.line(
        f"loss {figures.loss:.3f} nats a token, {figures.loss_reconstructed:.3f} with "
        f"reconstructions, {figures.loss_mean:.3f} with the mean, {figures.loss_zero:.3f} with zeros: "
        f"{_share(figures.recovered_from_mean)} and {_share(figures.recovered_from_zero)} recovered"
    )
    output.line(f"dead latents: {figures.dead}; silent on the held-back text: {figures.silent:.1%}")
    for tool, form in outcome.forms.items():
        output.line(f"{tool}: {args.out / form}")
    for note in outcome.notes:
        output.note(note)


def _share(value: float | None) -> str:
    return "nothing to be" if value is None else f"{value:.1%}"
