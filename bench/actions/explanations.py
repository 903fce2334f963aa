"""`hubel bench explanations`: how good are explanations, and how good would they be of nothing?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from ...tools.errors import UsageError
from . import shared_options

COLUMNS = {
    "targets": "targets",
    "r": "r",
    "r_minus_list": "minus list",
    "unseen": "unseen",
    "rare": "rare",
    "r3": "r@3",
    "p50": "P50@3",
    "half_r": "halves: r",
    "half_shared": "shared",
    "terms": "terms",
    "seconds": "CPU s",
}
"""Keys of a line of the summary, and their heads in the table."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which units of which index, and who explains."""
    shared_options.add_subject(parser)
    shared_options.add_corpus(parser)
    shared_options.add_explainer(parser)
    parser.add_argument(
        "--index",
        type=Path,
        metavar="I",
        help="an index, in place of --subject and --corpus (default: one in the cache)",
    )
    parser.add_argument(
        "--layers", metavar="L,L", help="layers to draw from (default: four, spread over the model)"
    )
    for name, default, what in (
        ("neurons", 50, "neurons of each layer"),
        ("heads", 24, "attention heads of all layers"),
        ("rotated", 25, "rotated directions of each layer, which mean nothing"),
        ("halves", 6, "units of each layer and kind to explain on two halves of the text as well"),
    ):
        help = f"{what} (default: {default})"
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=help)
    parser.add_argument("--seed", type=int, default=7, help="seed of all draws (default: 7)")


def run(args: argparse.Namespace) -> int:
    """Measure the units one by one, and print the means."""
    import torch

    from ...agent.run.default_index import default_index
    from ...agent.runlog.progress import progress
    from ...tools.index import Index
    from ...tools.subject import load_subject
    from ..explanations.measure import ExplanationBench, UnitDraw
    from ..explanations.summary import summary
    from ..null import bench_layers

    for name in ("neurons", "heads", "rotated", "halves"):
        if getattr(args, name) < 0:
            raise UsageError(f"--{name} {getattr(args, name)}: give 0 or more")
    torch.set_num_threads(1)
    index = Index.open(args.index) if args.index else None
    name = index.subject_name if index else args.subject
    with progress(quiet=args.quiet) as reporter:
        subject = load_subject(name, device=args.device, dtype=args.dtype)
        index = index or Index.open(default_index(subject, args.corpus, reporter))
        layers = _layers(args.layers) or tuple(bench_layers(subject.shape.n_layers))
        for layer in layers:
            subject.shape.check_layer(layer, f"--layers {args.layers}")
        draw = UnitDraw(layers, args.neurons, args.heads, args.rotated, args.halves, args.seed)
        bench = ExplanationBench(subject, index, draw, args.explainer, reporter)
        rows = []
        for row in bench.rows():
            rows.append(row)
            if args.json:
                output.json_line(row.to_json())
    lines = summary(rows)
    if args.json:
        output.json_line({"summary": lines})
    else:
        _show(lines)
    return DONE


def _layers(text: str | None) -> tuple[int, ...]:
    """The layers of `--layers`; none if it was not given."""
    if text is None:
        return ()
    try:
        return tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise UsageError(f"--layers {text!r}: give numbers of layers, such as 1,10,20,28") from None


def _show(lines: Sequence[Mapping[str, Any]]) -> None:
    columns = ("units", *COLUMNS.values())
    cells = [(_units(line), *(_cell(line[key]) for key in COLUMNS)) for line in lines]
    output.table(columns, cells, right=columns[1:])


def _units(line: Mapping[str, Any]) -> str:
    plural = {"neuron": "neurons", "head": "heads", "rotated": "rotated directions"}[line["kind"]]
    return plural if line["layer"] is None else f"{plural}, layer {line['layer']}"


def _cell(value: float | None) -> str | None:
    if value is None or isinstance(value, int):
        return None if value is None else str(value)
    return f"{value:.3f}"
