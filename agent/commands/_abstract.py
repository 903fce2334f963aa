"""`hubel circuit abstract`: does a subject compute what a program of yours computes, and where?"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ...tools.errors import UsageError
from .. import options, output
from ..progress import progress

LEAST = 8
"""Pairs below which a share says nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which program, where to look, and whether to search."""
    parser.add_argument("--subject", default="smollm2-135m", help="the subject (default: smollm2-135m)")
    parser.add_argument("--seed", type=int, default=0, help="draws the pairs (default: 0)")
    options.add_device(parser)
    parser.add_argument(
        "--program", type=Path, metavar="FILE", help="a program, how its inputs become text, its answers (TOML or JSON)"
    )
    parser.add_argument("--variable", metavar="V", help="the variable that is interchanged (default: the file's)")
    parser.add_argument("--layers", metavar="L,L", help="after which layers to look (default: four, evenly)")
    parser.add_argument(
        "--at", default="end", metavar="INPUT", help="at the token where an input's text ends (default: end, the last)"
    )
    parser.add_argument(
        "--kind",
        choices=("stream", "mlp", "z"),
        default="stream",
        help="the stream, neurons or heads (default: stream)",
    )
    parser.add_argument(
        "--search", type=int, default=0, metavar="K", help="search for K directions that hold the variable (DAS)"
    )
    parser.add_argument("--pairs", type=int, default=64, metavar="N", help="pairs of each part (default: 64)")
    parser.add_argument("--search-steps", type=int, default=60, metavar="N", help="steps of the search (default: 60)")


def run(args: argparse.Namespace) -> int:
    """A row a layer."""
    from ...tools.abstraction.question import read_question
    from ...tools.subject import load_subject
    from ..circuits.abstracting import Asked, abstraction_row

    if args.program is None:
        raise UsageError("`hubel circuit abstract` needs --program FILE; docs/causal-abstraction.md shows one")
    for option, least in (("pairs", LEAST), ("search", 0), ("search_steps", 1)):
        if getattr(args, option) < least:
            raise UsageError(f"--{option.replace('_', '-')} {getattr(args, option)}: give at least {least}")
    question = read_question(args.program)
    if args.variable:
        question = question.about(args.variable)
    wanted = _layers(args.layers)
    rows: list[dict[str, Any]] = []
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        n_layers = subject.shape.n_layers
        layers = wanted or sorted({n_layers * part // 5 for part in range(1, 5)})
        for done, layer in enumerate(layers):
            reporter.update("layers", done, len(layers), unit="layers", note=str(layer))
            asked = Asked(args.kind, layer, args.at, args.search, args.pairs, args.search_steps, args.seed)
            rows.append(abstraction_row(subject, question, asked))
            if args.json:
                output.json_line(rows[-1])
        reporter.update("layers", len(layers), len(layers), unit="layers")
    if not args.json:
        _show(rows)
    return 0


def _layers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise UsageError(f"--layers {text!r}: give numbers, such as 4,12,20") from None


def _show(rows: list[dict[str, Any]]) -> None:
    from ..circuits.abstracting import SEARCHED

    first = rows[0]
    searched = [name for name in SEARCHED if first[name]]
    columns = ("layer", "whole place", *(name.replace("_", " ") for name in searched))
    columns += ("real - control",) if searched else ()
    cells = [
        (
            row["layer"],
            *(_said(row[name]["iia"]) for name in ("whole", *searched)),
            *([f"{row['real_minus_control']:+.2f}"] if searched else []),
        )
        for row in rows
    ]
    title = (
        f"{first['question']}: {first['variable']} in the {first['kind']} at {first['at']} (token {first['position']})"
    )
    output.table(columns, cells, title=title, right=columns)
    output.line(
        f"interchange accuracy on {first['pairs']} held-out pairs; {_said(first['no_op'])} without any intervention"
    )


def _said(rate: dict[str, float]) -> str:
    return f"{rate['value']:.2f} ({rate['low']:.2f} to {rate['high']:.2f})"
