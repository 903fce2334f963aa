"""`hubel bench explanations`: how good are explanations, and how good would they be of nothing?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...agent.cli import options, output
from ...agent.cli.chosen_engine import chosen_engine
from ...agent.cli.exit_status import DONE
from ...agent.engine import SubjectChoice
from ...agent.runlog.tiers import TIERS
from ...tools.errors import UsageError
from ...tools.files import cache_dir
from . import shared_options

if TYPE_CHECKING:
    from ...agent.explainers.protocol import Explainer
    from ...agent.runlog.progress import Reporter
    from ..explanations.units import DrawnUnits

COLUMNS = {
    "targets": "targets",
    "r": "r",
    "r_minus_list": "minus list",
    "meaning": "meaning",
    "unseen": "unseen",
    "rare": "rare",
    "headline": "r@3",
    "coverage": "P50@3",
    "strength": "strength",
    "salient": "salient",
    "beyond_lookup": "beyond lookup",
    "half_r": "halves: r",
    "half_shared": "shared",
    "named": "named",
    "bits": "bits",
    "kept": "kept",
    "kept_below_list": "below list",
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
    parser.add_argument(
        "--ablate",
        metavar="F,F|all",
        help="search again without each of these families of concepts (compositional only)",
    )
    parser.add_argument(
        "--bounds",
        action="store_true",
        help="also what no search over the same concepts can exceed (takes some minutes)",
    )
    parser.add_argument("--seed", type=int, default=7, help="seed of all draws (default: 7)")
    options.add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Measure the units one by one, and print the means."""
    import torch

    from ...agent.runlog.progress import progress
    from ..explanations.ablation import ablation_lines, families
    from ..explanations.bounds import bound_means, bounds
    from ..explanations.measure import ExplanationBench
    from ..explanations.summary import summary, verdicts_by_target
    from ..explanations.unit_piece import measure_on_engine

    explainer, choice = _explainer(args), options.engine(args)
    left_out = families(args.ablate) if args.ablate else []
    torch.set_num_threads(1)
    with progress(quiet=args.quiet) as reporter:
        drawn = _drawn(args, reporter)
        with chosen_engine(choice, cache_dir(), reporter) as engine:
            if engine is not None:
                subject = drawn.subject
                name = SubjectChoice(subject.name, subject.revision, args.device, args.dtype)
                measure_on_engine(engine, drawn, name, args.explainer, reporter)
        bench = ExplanationBench(drawn, reporter)
        rows = list(bench.rows(explainer))
        losses = ablation_lines(bench, rows, left_out)
        bound_lines = bounds(bench, rows) if args.bounds else []
    means = bound_means(bound_lines)
    lines, verdicts = summary(rows), verdicts_by_target(rows)
    if args.json:
        of_target = {line["target"]: {"bounds": line} for line in bound_lines}
        for row in rows:
            verdict = verdicts[row.target]
            decided = {"verdict": verdict.verdict, "tier": verdict.tier}
            output.json_line(row.to_json() | decided | of_target.get(row.target, {}))
        output.json_line({"summary": lines, "ablation": losses, "bounds": means})
        return DONE
    _show(lines)
    if losses:
        _show_ablation(losses)
    if means:
        _show_bounds(means)
    return DONE


def _explainer(args: argparse.Namespace) -> Explainer:
    """The explainer, checked before anything is loaded."""
    from ...agent.explainers import make_explainer
    from ...agent.runlog.config import RunConfig
    from ...agent.runlog.model_config import is_language_model

    for name in ("neurons", "heads", "rotated", "halves"):
        if getattr(args, name) < 0:
            raise UsageError(f"--{name} {getattr(args, name)}: give 0 or more")
    if is_language_model(args.explainer):
        raise UsageError(
            f"--explainer {args.explainer}: a language model needs a run (`hubel run`); give one that "
            "computes, such as compositional"
        )
    if args.ablate and args.explainer != "compositional":
        raise UsageError("--ablate is about the concepts of the explainer compositional")
    return make_explainer(args.explainer, RunConfig(str(args.index), [], seed=args.seed))


def _drawn(args: argparse.Namespace, reporter: Reporter) -> DrawnUnits:
    """The units to measure, of the index that was given or of one in the cache."""
    from ...agent.run.default_index import default_index
    from ...tools.index import Index
    from ...tools.subject import load_subject
    from ..explanations.units import DrawnUnits, UnitDraw
    from ..null import bench_layers

    index = Index.open(args.index) if args.index else None
    name = index.subject_name if index else args.subject
    subject = load_subject(name, device=args.device, dtype=args.dtype)
    index = index or Index.open(default_index(subject, args.corpus, reporter))
    layers = _layers(args.layers) or tuple(bench_layers(subject.shape.n_layers))
    for layer in layers:
        subject.shape.check_layer(layer, f"--layers {args.layers}")
    draw = UnitDraw(layers, args.neurons, args.heads, args.rotated, args.halves, args.seed)
    return DrawnUnits(subject, index, draw)


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
    columns = ("units", *TIERS)
    shares = [
        (_units(line), *(f"{line['tiers'][tier] / line['targets']:.0%}" for tier in TIERS))
        for line in lines
    ]
    output.table(columns, shares, right=columns[1:])


def _show_ablation(lines: Sequence[Mapping[str, Any]]) -> None:
    columns = ("without", "targets", "used by", "r", "lost", "meaning", "lost", "unseen", "lost")
    keys = ("r", "r_lost", "meaning", "meaning_lost", "unseen", "unseen_lost")
    cells = [
        (line["without"], line["targets"], line["used"], *(_cell(line[key]) for key in keys))
        for line in sorted(lines, key=lambda line: -(line["r_lost"] or 0))
    ]
    output.table(columns, cells, right=columns[1:])


def _show_bounds(lines: Sequence[Mapping[str, Any]]) -> None:
    from ..explanations.bounds import FIGURES

    columns = ("best over the same concepts", *FIGURES.values())
    cells = [(_units(line), *(_cell(line[key]) for key in FIGURES)) for line in lines]
    output.table(columns, cells, right=columns[1:])


def _units(line: Mapping[str, Any]) -> str:
    plural = {"neuron": "neurons", "head": "heads", "rotated": "rotated directions"}[line["kind"]]
    return plural if line["layer"] is None else f"{plural}, layer {line['layer']}"


def _cell(value: float | None) -> str | None:
    if value is None or isinstance(value, int):
        return None if value is None else str(value)
    return f"{value:.3f}"
