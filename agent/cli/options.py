"""Options that several commands share, so that they are spelled and explained the same everywhere."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...tools.errors import UsageError
from ..runlog.model_config import BudgetConfig, ModelConfig

DTYPES = ("float32", "bfloat16", "float16")


def default_runs() -> Path:
    """Where runs live: HUBEL_RUNS, else ./runs."""
    return Path(os.environ.get("HUBEL_RUNS") or "runs")


def add_common(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """What every command takes; `agent.cli.main` adds these before the command's own.

    Args:
        again: for the parser of an action, where what was given before the action's name stands.
    """

    def default(value: object) -> Any:
        return argparse.SUPPRESS if again else value

    group = parser.add_argument_group("common")
    group.add_argument(
        "--json",
        action="store_true",
        default=default(False),
        help="standard output holds one JSON object a line, nothing else",
    )
    group.add_argument(
        "--runs",
        type=Path,
        default=default(default_runs()),
        metavar="DIR",
        help="where runs live (default: ./runs, or HUBEL_RUNS)",
    )
    group.add_argument(
        "--quiet",
        "-q",
        action="store_true",
        default=default(False),
        help="no progress on standard error",
    )
    group.add_argument(
        "--debug",
        action="store_true",
        default=default(bool(os.environ.get("HUBEL_DEBUG"))),
        help="show the traceback of an error (or HUBEL_DEBUG=1)",
    )


def add_budget(
    parser: argparse.ArgumentParser, whole: str = "the whole run", *, targets: bool = True
) -> None:
    """Limits on what language models may take, in all and, where there are several targets, for
    each of them.

    Args:
        whole: what the limits in all hold for.
    """
    group = parser.add_argument_group(
        "budget of language models (0: no limit; calls in flight are still paid)"
    )
    units = {
        "usd": "US dollars",
        "calls": "calls",
        "tokens": "tokens in and out",
        "seconds": "seconds of waiting",
    }
    for name, unit in units.items():
        group.add_argument(
            f"--max-{name}", type=float, default=None, metavar="N", help=f"{unit} of {whole}"
        )
        if targets:
            group.add_argument(
                f"--target-max-{name}",
                type=float,
                default=None,
                metavar="N",
                help=f"{unit} of a target",
            )


def budget(args: argparse.Namespace, prefix: str = "max") -> dict[str, float]:
    """The limits that were given: unit to number, above 0.

    Args:
        prefix: "max" for the run's, "target_max" for each target's.

    Raises:
        UsageError: a limit is below 0.
    """
    given = {
        name: getattr(args, f"{prefix}_{name}") for name in ("usd", "calls", "tokens", "seconds")
    }
    if wrong := next(
        (name for name, limit in given.items() if limit is not None and not limit >= 0), None
    ):
        option = f"--{prefix.replace('_', '-')}-{wrong}"
        raise UsageError(f"{option} {given[wrong]!r}: give a number above 0, or 0 for no limit")
    return {name: float(limit) for name, limit in given.items() if limit is not None}


def add_readers(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """How the language models that read explanations, simulator and judge, are asked; gives the group of options."""
    group = parser.add_argument_group("language models that read explanations")
    group.add_argument(
        "--simulator",
        default="",
        metavar="MODEL",
        help="openai:MODEL or anthropic:MODEL that predicts activations from the sentence (scorer llm_simulation)",
    )
    group.add_argument(
        "--simulator-base-url", default="", metavar="URL", help="its server (default: --base-url)"
    )
    group.add_argument(
        "--simulator-price", default="", metavar="P", help="as --price, of the simulator"
    )
    group.add_argument("--judge-price", default="", metavar="P", help="as --price, of the judge")
    group.add_argument(
        "--logprobs",
        action="store_true",
        help="ask for log-probabilities, where the server gives them: expected values in the place of whole numbers",
    )
    add_patience(group)
    return group


def add_model(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """How the language model that explains is asked; gives the group of options."""
    group = parser.add_argument_group("language models")
    group.add_argument(
        "--base-url",
        default="",
        metavar="URL",
        help="server of the model: vLLM, Ollama, llama.cpp, ...",
    )
    group.add_argument(
        "--effort", default="", help="how hard a reasoning model thinks: low, medium, high, ..."
    )
    group.add_argument(
        "--thinking",
        default="",
        choices=("", "adaptive", "disabled"),
        help="of Anthropic's models: whether they think",
    )
    group.add_argument(
        "--tools",
        default="auto",
        choices=("auto", "native", "named", "text"),
        help="how tools are called: by the protocol, through one tool that is named by servers that obey nothing else, "
        "or in words by models that know no tool calls (default: auto)",
    )
    group.add_argument(
        "--price", default="", help="dollars a million tokens: input=3,output=15,cache_read=0.3"
    )
    return group


def add_patience(group: argparse._ArgumentGroup) -> None:
    """How long a server is waited for."""
    group.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a busy or silent server is waited for before it is a failure (default: 600)",
    )


def budgets(args: argparse.Namespace) -> BudgetConfig:
    """The limits of the run and of each target."""
    return BudgetConfig(budget(args), budget(args, "target_max"))


def model(args: argparse.Namespace, role: str, base_url: str) -> ModelConfig:
    """The explainer, simulator or judge that was named, with its price."""
    name = getattr(args, role)
    known = ModelConfig(name, base_url, price(args, role, name, base_url))
    if role != "explainer":
        return known
    return replace(known, effort=args.effort, thinking=args.thinking, tools=args.tools)


def price(args: argparse.Namespace, role: str, model: str, base_url: str = "") -> dict[str, float]:
    """The price of a role's model: as given, or from the price files; empty when it is not known.

    Args:
        role: "explainer" (whose option is ``--price``), "simulator" or "judge".
    """
    from ..llm.prices import known_price, read_price

    option = "price" if role == "explainer" else f"{role}_price"
    if given := read_price(getattr(args, option), f"--{option.replace('_', '-')}"):
        return given
    known = known_price(model, base_url) if ":" in model else None
    if known is None:
        return {}
    if not args.quiet:
        sys.stderr.write(
            f"price of {model}: {known.price} dollars a million tokens ({known.origin}; check it)\n"
        )
    return known.price


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where and in what precision a subject runs."""
    group = parser.add_argument_group("subject")
    group.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, mps (default: auto)"
    )
    group.add_argument(
        "--dtype",
        default="float32",
        choices=DTYPES,
        help="precision of the subject (default: float32)",
    )
