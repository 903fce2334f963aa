"""Options that several commands share, and the values that are built from them."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from ...tools.errors import UsageError
from ..engine import EngineChoice
from ..runlog.layout import usual_runs
from ..runlog.model_config import BudgetConfig, ModelConfig
from . import output

DTYPES = ("float32", "bfloat16", "float16")
BUDGET_UNITS = {
    "usd": "US dollars",
    "calls": "calls",
    "tokens": "tokens in and out",
    "seconds": "seconds of waiting for replies",
}
CONTEXT_LEN = 64
"""Default of --context-len."""
MIN_SIMULATOR_CONTEXTS = 10
"""Held-out contexts below which no verdict can be given."""


def add_common(parser: argparse.ArgumentParser) -> None:
    """Options of every command."""
    group = parser.add_argument_group("common")
    group.add_argument(
        "--json",
        action="store_true",
        help="write JSON to standard output, one object per line, and nothing else",
    )
    group.add_argument(
        "--runs",
        type=Path,
        default=usual_runs(),
        metavar="DIR",
        help="folder of the runs (default: HUBEL_RUNS, else ./runs)",
    )
    group.add_argument("--quiet", "-q", action="store_true", help="no progress on standard error")
    group.add_argument(
        "--debug",
        action="store_true",
        default=bool(os.environ.get("HUBEL_DEBUG")),
        help="show the traceback of an error (also HUBEL_DEBUG=1)",
    )


CORPORA = (
    "lee-news, mixed, wiki-sample, a file (.txt, .csv, .tsv, .jsonl, .parquet), a folder of .txt "
    "files, a glob such as 'data/*.jsonl', or a hub name"
)


def add_text_column(parser: argparse._ActionsContainer) -> None:
    """Which column of a table is the text of its documents."""
    parser.add_argument(
        "--text-column",
        default="",
        metavar="NAME",
        help="column of --corpus that holds the text (default: 'text', or the only one); the same "
        "as CORPUS::NAME",
    )


def add_reading(parser: argparse._ActionsContainer, *shorter: str) -> None:
    """How much of the text is read, in contexts of which length, and what is kept of it.

    Args:
        shorter: other names of --corpus-tokens, where no budget of language models has them.
    """
    parser.add_argument(
        "--layers", metavar="L,L-L", help="only these layers, e.g. 1,10,20-23 (default: all)"
    )
    parser.add_argument(
        *shorter,
        "--corpus-tokens",
        dest="corpus_tokens",
        type=int,
        metavar="N",
        help="tokens of the corpus to read (default: all)",
    )
    parser.add_argument(
        "--context-len",
        type=int,
        default=CONTEXT_LEN,
        metavar="N",
        help=f"tokens per context (default: {CONTEXT_LEN})",
    )
    parser.add_argument(
        "--store",
        default="auto",
        metavar="auto|all|none|LAYERS",
        help="layers whose inner values are kept at every token, so that nothing reads the text "
        "again: all, none, e.g. 1,10,20-23, or auto: all if they take at most a quarter of the "
        "free disk (default: auto)",
    )


def add_dictionaries(parser: argparse._ActionsContainer) -> None:
    """Dictionaries whose latents become units."""
    parser.add_argument(
        "--dictionary",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="sparse autoencoder or transcoder whose latents are units sae.NAME.0, ...: a folder, a "
        "file or a hub name, in the form of SAELens, sparsify and others; may be given more than once",
    )
    parser.add_argument(
        "--unchecked-dictionaries",
        action="store_true",
        help="take dictionaries that explain no more of their place's variance than with their decoder "
        "rows permuted, such as random ones",
    )


def check_reading(args: argparse.Namespace) -> None:
    """Raise UsageError for values out of range, before a model is loaded."""
    if args.context_len < 2:
        raise UsageError(
            f"--context-len {args.context_len}: give at least 2, since the first token is left out"
        )
    if args.corpus_tokens is not None and args.corpus_tokens < 1:
        raise UsageError(f"--corpus-tokens {args.corpus_tokens}: give at least 1")


def corpus(args: argparse.Namespace) -> str:
    """The corpus that was given, with the column of its text.

    Raises:
        UsageError: a column without a corpus.
    """
    if args.text_column and not args.corpus:
        raise UsageError(f"--text-column {args.text_column!r} given without --corpus")
    return f"{args.corpus}::{args.text_column}" if args.text_column else args.corpus


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where and at what precision a subject runs."""
    group = parser.add_argument_group("subject")
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)"
    )
    group.add_argument(
        "--device-map",
        dest="device",
        type=lambda name: f"map:{name}",
        default=argparse.SUPPRESS,
        metavar="auto|balanced|sequential|FILE",
        help="spread the subject's layers over the GPUs, main memory and disk: auto, balanced, "
        "balanced_low_0 or sequential, or a JSON file with the device of each module; instead of "
        "--device",
    )
    group.add_argument(
        "--dtype",
        default="float32",
        choices=DTYPES,
        help="precision of the subject (default: float32)",
    )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Where the work is done: in this process, or on the workers of a Ray cluster."""
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        default="local",
        choices=("local", "ray"),
        help="ray: on the workers of a cluster, of which any may die (docs/cluster.md); needs "
        "hubel[ray] (default: local, in this process)",
    )
    group.add_argument(
        "--address",
        default="",
        metavar="HOST:PORT",
        help="head of the Ray cluster, or auto (default: start Ray on this machine, for this command)",
    )
    group.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="workers of the cluster (default: one on each GPU, or on each node without one)",
    )


def engine(args: argparse.Namespace) -> EngineChoice:
    """The engine that was chosen.

    Raises:
        UsageError: options of Ray without it, or a number below 1.
    """
    if args.engine == "local" and (args.address or args.workers):
        option = "--address" if args.address else "--workers"
        raise UsageError(f"{option} is of --engine ray: give both or neither")
    if args.workers < 0:
        raise UsageError(f"--workers {args.workers}: give at least 1")
    return EngineChoice(args.engine, args.address, args.workers)


def add_budget(
    parser: argparse.ArgumentParser, scope: str = "the whole run", *, targets: bool = True
) -> None:
    """Limits on language models in total and, if there are several targets, for each of them.

    Args:
        scope: what the limits in total apply to.
    """
    group = parser.add_argument_group(
        "budget of language models (0: no limit; calls in flight are still paid for)"
    )
    for name, unit in BUDGET_UNITS.items():
        group.add_argument(f"--max-{name}", type=float, metavar="N", help=f"{unit} for {scope}")
        if targets:
            group.add_argument(
                f"--target-max-{name}", type=float, metavar="N", help=f"{unit} per target"
            )


def budgets(args: argparse.Namespace) -> BudgetConfig:
    """The limits of the run and of each target.

    Raises:
        UsageError: a limit is below 0.
    """
    return BudgetConfig(budget(args), budget(args, "target_max"))


def budget(args: argparse.Namespace, prefix: str = "max") -> dict[str, float]:
    """The limits that were given, by unit; 0 is no limit.

    Args:
        prefix: "max" for those of the run, "target_max" for those of each target.

    Raises:
        UsageError: a limit is below 0.
    """
    limits: dict[str, float] = {}
    for unit in BUDGET_UNITS:
        limit = getattr(args, f"{prefix}_{unit}")
        if limit is None:
            continue
        if not limit >= 0:  # NaN as well
            option = f"--{prefix.replace('_', '-')}-{unit}"
            raise UsageError(f"{option} {limit!r}: give a number above 0, or 0 for no limit")
        limits[unit] = float(limit)
    return limits


def add_explainer_model(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """How to call the language model that explains; returns the group of options."""
    group = parser.add_argument_group("language models")
    group.add_argument(
        "--base-url",
        default="",
        metavar="URL",
        help="server of the model: vLLM, Ollama, llama.cpp, ... (default: the provider's own)",
    )
    group.add_argument(
        "--effort",
        default="",
        help="reasoning effort: low, medium, high, ... (default: the provider's)",
    )
    group.add_argument(
        "--thinking",
        default="",
        choices=("", "adaptive", "disabled"),
        metavar="adaptive|disabled",
        help="whether Anthropic's models think (default: the provider's choice)",
    )
    group.add_argument(
        "--tools",
        default="auto",
        choices=("auto", "native", "named", "text"),
        help="how tools are called: native (the protocol's own calls), named (all through one tool, "
        "for servers that follow a named tool only), text (as JSON in the reply), or auto: tried "
        "out before the run (default: auto)",
    )
    group.add_argument(
        "--price",
        default="",
        metavar="P",
        help="US dollars per million tokens: input=3,output=15,cache_read=0.3 (default: the price "
        "list's)",
    )
    return group


def add_sentence_models(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """How to call the language models that read explanations; returns the group of options."""
    group = parser.add_argument_group("language models that read explanations")
    group.add_argument(
        "--simulator",
        default="",
        metavar="MODEL",
        help="openai:MODEL or anthropic:MODEL that predicts activations from the sentence (scorer "
        "llm_simulation)",
    )
    group.add_argument(
        "--simulator-base-url",
        default="",
        metavar="URL",
        help="server of the simulator (default: --base-url)",
    )
    group.add_argument(
        "--simulator-price", default="", metavar="P", help="like --price, for the simulator"
    )
    group.add_argument("--judge-price", default="", metavar="P", help="like --price, for the judge")
    group.add_argument(
        "--batch",
        action="store_true",
        help="ask the judge and the simulator in the provider's batches: half the price, answers "
        "within a day instead of seconds; may be stopped and resumed (OpenAI, Anthropic)",
    )
    group.add_argument(
        "--logprobs",
        action="store_true",
        help="request log-probabilities if the server returns them: expected values instead of "
        "whole numbers",
    )
    add_patience(group)
    return group


def add_patience(group: argparse._ArgumentGroup) -> None:
    """How long to wait for a server."""
    group.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long to wait for a busy or silent server before the call fails (default: 600)",
    )


def model(args: argparse.Namespace, role: str, base_url: str) -> ModelConfig:
    """The model of a role, with its price.

    Args:
        role: "explainer", "simulator" or "judge".
    """
    name = getattr(args, role)
    config = ModelConfig(name, base_url, price(args, role, name, base_url))
    if role != "explainer":
        return config
    return replace(config, effort=args.effort, thinking=args.thinking, tools=args.tools)


def price(args: argparse.Namespace, role: str, model: str, base_url: str = "") -> dict[str, float]:
    """US dollars per million tokens of a role's model: as given, else from the price files.

    Empty if unknown.
    """
    from ..llm.prices import known_price, read_price

    option = "price" if role == "explainer" else f"{role}_price"
    if given_price := read_price(getattr(args, option), f"--{option.replace('_', '-')}"):
        return given_price
    listed = known_price(model, base_url) if ":" in model else None
    if listed is None:
        return {}
    if not args.quiet:
        output.note(
            f"price of {model}: {listed.price} US dollars per million tokens ({listed.origin}; "
            "please check)"
        )
    return listed.price
