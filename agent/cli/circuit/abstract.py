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
"""Fewest pairs for an accuracy to be informative."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the program, the places to look at, and the search."""
    parser.add_argument(
        "--subject", default="smollm2-135m", help="the subject (default: smollm2-135m)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed for the pairs (default: 0)")
    options.add_device(parser)
    parser.add_argument(
        "--program",
        type=Path,
        metavar="FILE",
        help="the program, the text for its inputs, and its answers (TOML or JSON)",
    )
    parser.add_argument(
        "--variable", metavar="V", help="the variable to interchange (default: the file's)"
    )
    parser.add_argument(
        "--layers", metavar="L,L", help="layers to look at (default: four, evenly spaced)"
    )
    parser.add_argument(
        "--at",
        default="end",
        metavar="SLOT,SLOT",
        help="slots of the text, each at its last token (default: end, the text's last token)",
    )
    parser.add_argument(
        "--kind",
        choices=("stream", "mlp", "z"),
        default="stream",
        help="residual stream, neurons or heads' z (default: stream)",
    )
    parser.add_argument(
        "--search",
        type=int,
        default=0,
        metavar="K",
        help="search for K directions that hold the variable (DAS)",
    )
    parser.add_argument(
        "--pairs",
        type=int,
        default=64,
        metavar="N",
        help="pairs for training, and as many held out (default: 64)",
    )
    parser.add_argument(
        "--search-steps",
        type=int,
        default=60,
        metavar="N",
        help="steps of the search (default: 60)",
    )


def run(args: argparse.Namespace) -> int:
    """Print one row per place."""
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
    layers, slots = _layers(args.layers), list(dict.fromkeys(args.at.split(",")))
    rows: list[dict[str, Any]] = []
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(
            args.subject, device=args.device, dtype=args.dtype, progress=reporter.say
        )
        n_layers = subject.shape.n_layers
        layers = layers or sorted({n_layers * fifth // 5 for fifth in range(1, 5)})
        for slot in slots:
            question.position(subject, slot)  # an unknown slot fails before the first search
        redrawn = cache(partial(random_twin, subject, args.seed))
        places = [(layer, slot) for layer in layers for slot in slots]
        for done, (layer, slot) in enumerate(places):
            reporter.update(
                "places", done, len(places), unit="places", note=f"layer {layer}, {slot}"
            )
            request = AbstractionRequest(
                args.kind, layer, slot, args.search, args.pairs, args.search_steps, args.seed
            )
            rows.append(abstraction_row(subject, question, request, redrawn))
            if args.json:
                output.json_line(rows[-1])
        reporter.update("places", len(places), len(places), unit="places")
    if not args.json:
        _show(rows) if len(slots) == 1 else _show_map(rows, slots)
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


def _show_map(rows: list[dict[str, Any]], slots: list[str]) -> None:
    """Layers by slots: the accuracy of each whole place, then of the subspace that a search found."""
    first = rows[0]
    positions = {row["at"]: row["position"] for row in rows}
    columns = ("layer", *(f"{slot} (token {positions[slot]})" for slot in slots))
    variable = f"{first['question']}: {first['variable']} in the {first['kind']}"
    title = f"{variable}, the whole of each place"
    output.table(columns, _cells(rows, slots, _whole_place), title=title, right=columns)
    if first["k"]:
        title = f"{variable}, {first['k']} of its directions: found, and the best control"
        output.table(columns, _cells(rows, slots, _subspace), title=title, right=columns)
    _show_base(first)


def _cells(
    rows: list[dict[str, Any]], slots: list[str], render: Callable[[dict[str, Any]], str]
) -> list[tuple[object, ...]]:
    by_place = {(row["layer"], row["at"]): render(row) for row in rows}
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    return [(layer, *(by_place[layer, slot] for slot in slots)) for layer in layers]


def _whole_place(row: dict[str, Any]) -> str:
    return _with_interval(row["whole"]["iia"])


def _subspace(row: dict[str, Any]) -> str:
    accuracy = row["found"]["iia"]["value"]
    return f"{accuracy:.2f} beside {accuracy - row['real_minus_control']:.2f}"


def _show_base(row: dict[str, Any]) -> None:
    output.line(
        f"interchange accuracy on {row['pairs']} held-out pairs; {_with_interval(row['no_op'])} "
        "without any intervention"
    )


def _with_interval(rate: dict[str, float]) -> str:
    return f"{rate['value']:.2f} ({rate['low']:.2f} to {rate['high']:.2f})"
