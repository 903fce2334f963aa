"""`hubel run`: explain targets and test each explanation on held-out text."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ....tools.dictionaries.named_source import NamedSource
from ....tools.errors import UsageError
from ...runlog.config import RunConfig
from ...runlog.layout import new_run_name, run_argument
from ...runlog.model_config import is_language_model
from .. import options, output
from ..confirm_cost import add_yes, confirm_cost
from ..run_outcome import finish
from .index import parse_layers, parse_store

if TYPE_CHECKING:
    from ....tools.subject import Subject
    from ...llm.meter import Checks

NAME = "run"
HELP = "explain targets and test each explanation on held-out text"
INTERRUPTED = (
    "stopped before the run was made; what was read into its index is kept, and the same command "
    "continues"
)

TOGETHER = 2048
"""Targets that are collected and investigated together. At 940 contexts of 64 tokens their
activations take 250 MB; the next ones need another forward pass over the text."""
MANY = 1000
"""Targets from which on a run says first what it takes of the disk."""
CONVERSES = (
    "--batch is for the judge and the simulator; the explainer waits for each answer and is asked "
    "directly, and so is the simulator while it waits"
)
ROTATED = 6
"""Default of --rotated: the mean of six r is known to about .05."""
ROUNDS, MODEL_ROUNDS = 2, 4
"""Default of --rounds, for programs and for language models."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to explain, who explains it, and how much of what may be used."""
    parser.add_argument(
        "--index",
        metavar="I",
        help="folder of an index; with --subject and --corpus it is made there if it does not exist",
    )
    parser.add_argument(
        "--targets",
        metavar="T",
        help="mlp.10.0-99, mlp.1~50@7 (50 at random, seed 7), mlp.*~50@7, mlp.10.1352- (negative "
        "side), head.5.3, or a file",
    )
    parser.add_argument(
        "--explainer",
        default="compositional",
        help="compositional (default), ten-tokens, scripted, openai:MODEL, anthropic:MODEL",
    )
    parser.add_argument("--name", help="name of the run (default: date and time)")
    parser.add_argument("--config", metavar="FILE", help="repeat the run of a config.toml")
    parser.add_argument(
        "--concurrency",
        type=int,
        default=8,
        metavar="N",
        help="targets investigated at the same time (default: 8)",
    )
    parser.add_argument(
        "--max-contexts",
        type=int,
        default=2000,
        metavar="N",
        help="contexts per split to collect and score (default: 2000)",
    )
    parser.add_argument(
        "--rotated",
        type=int,
        default=ROTATED,
        metavar="N",
        help="rotated directions of each layer, or random latents, to explain for comparison, once "
        f"for an index; in all at most one for each target (default: {ROTATED}; 0: none)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all draws (default: 0)")
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="times that the explainer sees its score on select "
        f"(default: {ROUNDS}, language models {MODEL_ROUNDS})",
    )
    parser.add_argument(
        "--script", default="", metavar="FILE", help="moves of the explainer `scripted`"
    )
    _add_text(parser)
    _add_models(parser)
    options.add_budget(parser)
    options.add_device(parser)
    options.add_engine(parser)


def _add_text(parser: argparse.ArgumentParser) -> None:
    """What to index on the way, as `hubel index` has it."""
    group = parser.add_argument_group(
        "index made on the way (in the cache unless --index names a folder)"
    )
    group.add_argument("--subject", metavar="S", help="smollm2-135m, a local folder, or a hub name")
    group.add_argument("--corpus", default="", metavar="C", help=options.CORPORA)
    options.add_text_column(group)
    options.add_reading(group)
    options.add_dictionaries(group)


def _add_models(parser: argparse.ArgumentParser) -> None:
    """Which language models are called, and how."""
    explainer = options.add_explainer_model(parser)
    add_yes(explainer)
    explainer.add_argument(
        "--no-competitor",
        action="store_true",
        help="do not show the model the formula that the search found",
    )
    readers = options.add_sentence_models(parser)
    readers.add_argument(
        "--simulator-contexts",
        type=int,
        default=30,
        metavar="N",
        help="held-out contexts that the simulator predicts, about 1,100 tokens each (default: 30)",
    )
    readers.add_argument(
        "--judge",
        default="",
        metavar="MODEL",
        help="decides which held-out windows the sentence describes (scorer detection)",
    )
    readers.add_argument(
        "--judge-base-url",
        default="",
        metavar="URL",
        help="server of the judge (default: --base-url)",
    )


def run(args: argparse.Namespace) -> int:
    """Make the run, then execute it to its end."""
    from ...llm.meter import Checks
    from ...run.execute import check_new_run, make_run, resolve
    from ...run.preflight import check_room, estimated_usd

    folder = args.runs / (args.name or new_run_name())
    if args.name and Path(args.name).name != args.name:
        raise UsageError(
            f"--name {args.name!r}: give a plain name; --runs DIR sets the folder of the runs"
        )
    checks, choice = Checks(), options.engine(args)
    subject, config = None, checked_configuration(args, checks)
    if args.subject:
        check_new_run(folder, config)
        subject, config = _index_on_the_way(args, config)
    config = resolve(config)
    room = check_room(config, args.runs)
    if len(config.targets) >= MANY and not args.quiet:
        output.note(room)
    if config.batch and config.explainer.is_language_model and not args.quiet:
        output.note(CONVERSES)
    confirm_cost(len(config.targets), estimated_usd(config), config.budget, args)
    make_run(folder, config, checks)
    if not args.quiet:
        output.note(
            f"run {folder.name}: if it is stopped, `hubel resume {run_argument(folder)}` continues it"
        )
    return finish(folder, args, subject, choice=choice)


def _index_on_the_way(args: argparse.Namespace, config: RunConfig) -> tuple[Subject, RunConfig]:
    """The subject, loaded, and the configuration with the index that it has been read into."""
    from ....tools.corpus import read_corpus
    from ....tools.dictionaries.attach import attach_dictionaries
    from ....tools.subject import load_subject
    from ...run.default_index import IndexSettings, index_for_run
    from ...runlog.progress import progress

    layers = parse_layers(args.layers)
    settings = IndexSettings(
        None if layers is None else tuple(layers), args.corpus_tokens, args.context_len
    )
    dictionaries = [NamedSource.parse(text) for text in args.dictionary]
    corpus = read_corpus(options.corpus(args))  # a wrong name fails before a subject is loaded
    with progress(quiet=args.quiet) as reporter:
        reporter.say(f"loading {args.subject}")
        subject = load_subject(
            args.subject, device=args.device, dtype=args.dtype, progress=reporter.say
        )
        documents = () if args.unchecked_dictionaries else corpus.documents
        attach_dictionaries(subject, dictionaries, reporter.say, documents)
        index = index_for_run(
            subject,
            corpus,
            config.targets,
            reporter,
            settings,
            Path(args.index) if args.index else None,
            parse_store(args.store),
        )
    return subject, replace(config, index=str(index))


def checked_configuration(args: argparse.Namespace, checks: Checks | None = None) -> RunConfig:
    """The run's configuration, from a file or from the options, before its targets are resolved.

    Args:
        checks: keeps the requests that check its models.

    Raises:
        UsageError: options contradict each other or are out of range, or a model cannot be called.
    """
    from ...run.preflight import check_model

    if args.config:
        if args.index or args.targets or args.subject or args.corpus:
            raise UsageError(
                "--config sets everything; leave out --index, --subject, --corpus and --targets, "
                "or edit the file"
            )
        config = replace(RunConfig.load(Path(args.config)), versions={})
    else:
        config = _from_options(args)
    return check_model(config, checks)


def _from_options(args: argparse.Namespace) -> RunConfig:
    """The configuration of a new run, from the command's options."""
    if args.rounds is None:
        args.rounds = MODEL_ROUNDS if is_language_model(args.explainer) else ROUNDS
    _check_options(args)
    simulator_url = args.simulator_base_url or (args.base_url if args.simulator else "")
    judge_url = args.judge_base_url or (args.base_url if args.judge else "")
    return RunConfig(
        index=args.index or "",
        targets=[args.targets],
        explainer=options.model(args, "explainer", args.base_url),
        concurrency=args.concurrency,
        max_contexts=args.max_contexts,
        collected_together=TOGETHER,
        rounds=args.rounds,
        patience=args.patience,
        simulator=options.model(args, "simulator", simulator_url),
        simulator_contexts=args.simulator_contexts,
        judge=options.model(args, "judge", judge_url),
        batch=args.batch,
        logprobs=args.logprobs,
        budget=options.budgets(args),
        competitor=not args.no_competitor,
        rotated=args.rotated,
        seed=args.seed,
        device=args.device,
        dtype=args.dtype,
        script=args.script,
    )


def _check_text(args: argparse.Namespace) -> None:
    """Raise UsageError if the options do not say what to index, or say it where nothing is indexed."""
    if bool(args.subject) != bool(args.corpus):
        given, missing = ("--subject", "--corpus") if args.subject else ("--corpus", "--subject")
        raise UsageError(f"{given} given without {missing}: an index is made of both")
    options.check_reading(args)
    parse_layers(args.layers)
    parse_store(args.store)
    is_set = args.layers or args.corpus_tokens or args.context_len != options.CONTEXT_LEN
    is_set = is_set or args.store != "auto" or args.dictionary
    if not args.subject and (is_set or args.text_column):
        raise UsageError(
            "--text-column, --layers, --corpus-tokens, --context-len, --store and --dictionary are about an index "
            "to be made: give --subject and --corpus as well"
        )


def _check_options(args: argparse.Namespace) -> None:
    if not args.targets or not (args.index or args.subject or args.corpus):
        raise UsageError(
            "`hubel run` needs --targets T and --index I, or --subject S and --corpus C, of which "
            "it makes the index (or --config FILE); `hubel demo` shows a whole run"
        )
    _check_text(args)
    if args.concurrency < 1 or args.max_contexts < 1:
        raise UsageError("--concurrency and --max-contexts must be at least 1")
    if args.rotated < 0:
        raise UsageError(f"--rotated {args.rotated}: give 0 or more")
    if args.rounds < 1:
        raise UsageError(f"--rounds {args.rounds}: give at least 1")
    if args.simulator_contexts < options.MIN_SIMULATOR_CONTEXTS:
        raise UsageError(
            f"--simulator-contexts {args.simulator_contexts}: give at least "
            f"{options.MIN_SIMULATOR_CONTEXTS}, or no verdict can be given"
        )
