"""`hubel run`: explain targets and test each explanation on held-out text."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ....tools.errors import UsageError
from ...runlog.config import RunConfig
from ...runlog.model_config import is_language_model
from .. import options
from ..run_outcome import finish

NAME = "run"
HELP = "explain targets and test each explanation on held-out text"
INTERRUPTED = "stopped; nothing is lost: `hubel resume RUN` goes on (`hubel runs` lists the runs)"

ASKED_FROM_USD = 1.0
"""Estimated dollars above which a run asks before it starts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the contract."""
    parser.add_argument("--index", metavar="I", help="folder of an index made by `hubel index`")
    parser.add_argument(
        "--targets",
        metavar="T",
        help="mlp.10.0-99, mlp.1~50@7, mlp.*~50@7, mlp.10.1352-, head.5.3, or a file",
    )
    parser.add_argument(
        "--explainer",
        default="compositional",
        help="compositional (default), ten-tokens, scripted, openai:MODEL, anthropic:MODEL",
    )
    parser.add_argument("--name", help="the run's name (default: date and time)")
    parser.add_argument("--config", metavar="FILE", help="run again what a config.toml says")
    parser.add_argument(
        "--concurrency", type=int, default=8, help="investigations side by side (default: 8)"
    )
    parser.add_argument(
        "--max-contexts",
        type=int,
        default=2000,
        help="contexts a split to collect and score (default: 2000)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--rounds", type=int, help="looks at the score on select (default: 2, language models 4)"
    )
    parser.add_argument(
        "--script", default="", help="for the explainer `scripted`: the file of its moves"
    )
    add_models(parser)
    readers = options.add_readers(parser)
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
        help="says which held-out windows the sentence fits (detection)",
    )
    readers.add_argument(
        "--judge-base-url", default="", metavar="URL", help="its server (default: --base-url)"
    )
    options.add_budget(parser)
    options.add_device(parser)


def add_models(parser: argparse.ArgumentParser) -> None:
    """Which language models are asked, and how."""
    group = options.add_model(parser)
    group.add_argument(
        "--yes", "-y", action="store_true", help="do not ask before much money is spent"
    )
    group.add_argument(
        "--no-competitor",
        action="store_true",
        help="do not show the model what the formula search found",
    )


def run(args: argparse.Namespace) -> int:
    """Make the run, then work on it to its end."""
    from ...run.execute import make_run

    folder = args.runs / (args.name or datetime.now().strftime("%Y%m%d-%H%M%S"))
    if args.name and Path(args.name).name != args.name:
        raise UsageError(
            f"--name {args.name!r}: give a plain name; --runs DIR says where runs live"
        )
    config = configuration(args)
    confirm(config, args)
    make_run(folder, config)
    if not args.quiet:
        sys.stderr.write(
            f"run {folder.name}: `hubel resume {folder.name}` goes on if it is stopped\n"
        )
    return finish(folder, args)


def confirm(config: RunConfig, args: argparse.Namespace) -> None:
    """Say what a run of a language model may cost, and ask when that is much; nobody waits without
    a terminal.

    Raises:
        UsageError: the answer is no, or there is nobody to ask.
    """
    from ...run.preflight import estimated_usd

    expected = estimated_usd(config)
    if expected is None:
        return
    limit = config.budget.run.get("usd", 0.0)
    most = min(expected, limit) if limit else expected
    line = f"{len(config.targets)} targets may cost up to about ${most:.2f}"
    if args.yes or most <= ASKED_FROM_USD:
        sys.stderr.write("" if args.quiet else f"{line}\n")
    elif not sys.stdin.isatty():
        raise UsageError(f"{line}; say --yes, or give a smaller --max-usd")
    elif input(f"{line}; go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("not started; give fewer targets, or a smaller --max-usd")


def configuration(args: argparse.Namespace) -> RunConfig:
    """The run's configuration, from a file or from the options."""
    from ...run.execute import resolve
    from ...run.preflight import check_model

    if args.config:
        if args.index or args.targets:
            raise UsageError(
                "--config says everything; leave out --index and --targets, or edit the file"
            )
        config = replace(RunConfig.load(Path(args.config)), versions={})
        return resolve(check_model(config))
    if not args.index or not args.targets:
        raise UsageError(
            "`hubel run` needs --index I and --targets T (or --config FILE); `hubel demo` shows a whole run"
        )
    if args.concurrency < 1 or args.max_contexts < 1:
        raise UsageError("--concurrency and --max-contexts must be at least 1")
    rounds = (
        args.rounds if args.rounds is not None else (4 if is_language_model(args.explainer) else 2)
    )
    if args.simulator_contexts < 10:
        raise UsageError(
            f"--simulator-contexts {args.simulator_contexts}: give at least 10, or no verdict can be given"
        )
    simulator_url = args.simulator_base_url or (args.base_url if args.simulator else "")
    judge_url = args.judge_base_url or (args.base_url if args.judge else "")
    if rounds < 1:
        raise UsageError(f"--rounds {rounds}: give at least 1")
    config = RunConfig(
        index=args.index,
        targets=[args.targets],
        explainer=options.model(args, "explainer", args.base_url),
        concurrency=args.concurrency,
        max_contexts=args.max_contexts,
        rounds=rounds,
        patience=args.patience,
        simulator=options.model(args, "simulator", simulator_url),
        simulator_contexts=args.simulator_contexts,
        judge=options.model(args, "judge", judge_url),
        logprobs=args.logprobs,
        budget=options.budgets(args),
        competitor=not args.no_competitor,
        seed=args.seed,
        device=args.device,
        dtype=args.dtype,
        script=args.script,
    )
    return resolve(check_model(config))
