"""`hubel circuit abstract`: does a subject compute what a program of yours computes, and where?"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from ....tools.errors import UsageError
from ...runlog.progress import progress
from .. import options, output

MIN_PAIRS = 8
"""Fewest pairs for a share to say anything."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which program, where to look, and whether to search."""
    parser.add_argument(
        "--subject", default="smollm2-135m", help="the subject (default: smollm2-135m)"
    )
    parser.add_argument("--seed", type=int, default=0, help="draws the pairs (default: 0)")
    options.add_device(parser)
    parser.add_argument(
        "--program",
        type=Path,
        metavar="FILE",
        help="a program, how its inputs become text, its answers (TOML or JSON)",
    )
    parser.add_argument(
        "--variable", metavar="V", help="the variable that is interchanged (default: the file's)"
    )
    parser.add_argument(
        "--layers", metavar="L,L", help="after which layers to look (default: four, evenly)"
    )
    parser.add_argument(
        "--at",
        default="end",
        metavar="SLOT,SLOT",
        help="at the tokens where slots of the text end (default: end, the last)",
    )
    parser.add_argument(
        "--kind",
        choices=("stream", "mlp", "z"),
        default="stream",
        help="the stream, neurons or heads (default: stream)",
    )
    parser.add_argument(
        "--search",
        type=int,
        default=0,
        metavar="K",
        help="search for K directions that hold the variable (DAS)",
    )
    parser.add_argument(
        "--pairs", type=int, default=64, metavar="N", help="pairs of each part (default: 64)"
    )
    parser.add_argument(
        "--search-steps",
        type=int,
        default=60,
        metavar="N",
        help="steps of the search (default: 60)",
    )


def run(args: argparse.Namespace) -> int:
    """One row per place."""
    from ....tools.abstraction.das import random_twin
    from ....tools.abstraction.question import read_question
    from ....tools.subject import load_subject
    from ...circuits.tables.abstraction import AbstractionRequest, abstraction_row

    if args.program is None:
        raise UsageError(
            "`hubel circuit abstract` needs --program FILE; docs/causal-abstraction.md shows one"
        )
    for option, least in (("pairs", MIN_PAIRS), ("search", 0), ("search_steps", 1)):
        if getattr(args, option) < least:
            raise UsageError(
                f"--{option.replace('_', '-')} {getattr(args, option)}: give at least {least}"
            )
    question = read_question(args.program)
    if args.variable:
        question = question.with_variable(args.variable)
    layers, spots = _layers(args.layers), list(dict.fromkeys(args.at.split(",")))
    rows: list[dict[str, Any]] = []
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        n_layers = subject.shape.n_layers
        layers = layers or sorted({n_layers * part // 5 for part in range(1, 5)})
        for at in spots:
            question.position(subject, at)  # fail before the first search
        redrawn = cache(partial(random_twin, subject, args.seed))
        places = [(layer, at) for layer in layers for at in spots]
        for done, (layer, at) in enumerate(places):
            reporter.update("places", done, len(places), unit="places", note=f"layer {layer}, {at}")
            request = AbstractionRequest(
                args.kind, layer, at, args.search, args.pairs, args.search_steps, args.seed
            )
            rows.append(abstraction_row(subject, question, request, redrawn))
            if args.json:
                output.json_line(rows[-1])
        reporter.update("places", len(places), len(places), unit="places")
    if not args.json:
        _show(rows) if len(spots) == 1 else _show_map(rows, spots)
    return 0


def _layers(text: str | None) -> list[int]:
    try:
        return [int(part) for part in text.split(",")] if text else []
    except ValueError:
        raise UsageError(f"--layers {text!r}: give numbers, such as 4,12,20") from None


def _show(rows: list[dict[str, Any]]) -> None:
    from ...circuits.tables.abstraction import SEARCHED

    first = rows[0]
    searched = [name for name in SEARCHED if first[name]]
    columns = ("layer", "whole place", *(name.replace("_", " ") for name in searched))
    columns += ("real - control",) if searched else ()
    cells = [
        (
            row["layer"],
            *(_with_interval(row[name]["iia"]) for name in ("whole", *searched)),
            *([f"{row['real_minus_control']:+.2f}"] if searched else []),
        )
        for row in rows
    ]
    place = f"the {first['kind']} at {first['at']} (token {first['position']})"
    title = f"{first['question']}: {first['variable']} in {place}"
    output.table(columns, cells, title=title, right=columns)
    _show_base(first)


def _show_map(rows: list[dict[str, Any]], spots: list[str]) -> None:
    """Layers by places: the whole of each, and the subspace found there beside its best control."""
    first = rows[0]
    places = {at: next(row["position"] for row in rows if row["at"] == at) for at in spots}
    columns = ("layer", *(f"{at} (token {position})" for at, position in places.items()))
    what = f"{first['question']}: {first['variable']} in the {first['kind']}"
    output.table(
        columns,
        _cells(rows, spots, _whole),
        title=f"{what}, the whole of each place",
        right=columns,
    )
    if first["k"]:
        title = f"{what}, {first['k']} of its directions: found, and the best control"
        output.table(columns, _cells(rows, spots, _found), title=title, right=columns)
    _show_base(first)


def _cells(
    rows: list[dict[str, Any]], spots: list[str], say: Callable[[dict[str, Any]], str]
) -> list[tuple[object, ...]]:
    by_place = {(row["layer"], row["at"]): say(row) for row in rows}
    return [
        (layer, *(by_place[layer, at] for at in spots))
        for layer in dict.fromkeys(row["layer"] for row in rows)
    ]


def _whole(row: dict[str, Any]) -> str:
    return _with_interval(row["whole"]["iia"])


def _found(row: dict[str, Any]) -> str:
    accuracy = row["found"]["iia"]["value"]
    return f"{accuracy:.2f} beside {accuracy - row['real_minus_control']:.2f}"


def _show_base(row: dict[str, Any]) -> None:
    output.line(
        f"interchange accuracy on {row['pairs']} held-out pairs; {_with_interval(row['no_op'])} "
        "without any intervention"
    )


def _with_interval(rate: dict[str, float]) -> str:
    return f"{rate['value']:.2f} ({rate['low']:.2f} to {rate['high']:.2f})"
