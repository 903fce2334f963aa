"""`hubel bench speed --peers`: the same work by other libraries and in the plain way."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ...agent.cli import output
from ...agent.cli.exit_status import DONE
from ...agent.runlog.progress import progress
from ...tools.errors import UsageError

if TYPE_CHECKING:
    from ..other_libraries import PeerCost
    from ..speed.attribution import IntegrationCost
    from ..speed.circuits import SweepScaling
    from ..speed.ratios import SpeedComparison

THREADS = 2
"""For token attribution, where wall time is compared; everything else runs on one thread."""


def run_peers(args: argparse.Namespace) -> int:
    """Patch heads with each library in its own process; then token attribution and hubel's own ratios."""
    import torch

    from ...tools.subject import load_subject, subject_shape
    from ..other_libraries import compare_peers
    from ..speed.attribution import attribution_speed
    from ..speed.circuits import circuits_speed, longer_sweep

    layers = _layers(args.layers, subject_shape(args.subject).n_layers)
    with progress(quiet=args.quiet) as reporter:
        reporter.update("ways", 0, 3, unit="parts", note="heads")
        peers = compare_peers(args.subject, layers)
        reporter.update("ways", 1, 3, unit="parts", note="token attribution")
        subject = load_subject(args.subject, device=args.device, dtype=args.dtype)
        torch.set_num_threads(THREADS)
        attribution = attribution_speed(subject)
        torch.set_num_threads(1)
        reporter.update("ways", 2, 3, unit="parts", note="ratios")
        ratios, scaling = circuits_speed(subject), longer_sweep(subject)
        reporter.update("ways", 3, 3, unit="parts")
    if args.json:
        for part, rows in (
            ("heads", peers),
            ("tokens", attribution),
            ("ratio", ratios),
            ("longer", [scaling]),
        ):
            for row in rows:
                output.json_line({"part": part, **row._asdict()})
        return DONE
    _show_heads(peers, layers)
    _show_attribution(attribution)
    _show_ratios(ratios, scaling)
    return DONE


def _layers(text: str | None, n_layers: int) -> list[int]:
    """The layers of `--layers`; three spread over the model by default."""
    if text == "all":
        return list(range(n_layers))
    if text is None:
        return sorted({n_layers // 6, n_layers // 2, n_layers - 1 - n_layers // 6})
    try:
        layers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        layers = [-1]
    if not all(0 <= layer < n_layers for layer in layers):
        raise UsageError(
            f"--layers {text!r}: give layers from 0 to {n_layers - 1}, such as 4,12,20, or all"
        )
    return layers


def _show_heads(peers: list[PeerCost], layers: list[int]) -> None:
    from ..other_libraries import PEERS

    columns = (
        f"{peers[0].heads} heads of {len(layers)} layers patched by",
        "CPU s",
        "to wrap",
        "peak MB",
        "difference",
    )
    cells = [
        (
            peer.name,
            f"{peer.seconds:.1f}",
            f"{peer.wrapping:.1f}",
            f"{peer.peak_mb:,.0f}",
            f"{peer.difference:.1e}",
        )
        for peer in peers
    ]
    output.table(columns, cells, right=columns[1:])
    if missing := [name for name in PEERS if name not in {peer.name for peer in peers}]:
        output.line(f"not installed: {', '.join(missing)} (pip install hubel[oracles])")


def _show_attribution(rows: list[IntegrationCost]) -> None:
    columns = (
        "integrated gradients by",
        "baseline",
        "error",
        "seconds",
        "CPU s",
        "correlation with ours",
    )
    cells = [
        (
            row.way,
            row.baseline,
            f"{row.error:.2%}",
            f"{row.seconds:.2f}",
            f"{row.cpu_seconds:.2f}",
            None if row.agrees is None else f"{row.agrees:.4f}",
        )
        for row in rows
    ]
    output.table(
        columns, cells, title=f"a prompt of 32 tokens, {THREADS} threads", right=columns[2:]
    )
    if find_spec("captum") is None:
        output.line("not installed: captum (pip install hubel[oracles])")


def _show_ratios(ratios: list[SpeedComparison], scaling: SweepScaling) -> None:
    for row in ratios:
        output.line(
            f"{row.name}: {row.ours:.2f} CPU s; {row.naive_way}: {row.naive:.2f} ({row.ratio:.2f}x)"
        )
    output.line(
        f"{scaling.many} neurons patched exactly take {scaling.many_seconds:.2f} CPU s, {scaling.few} take "
        f"{scaling.few_seconds:.2f}: ten times as many cost {scaling.ratio:.1f} times as much"
    )
