"""The tables of `hubel bench scale`: what was measured, the checks, and the projections."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ...agent.cli import output
from ...agent.llm.conversation import TokenUsage
from .bytes_on_disk import BytesOnDisk
from .conversation import AT_MOST, TargetPrice
from .cost_model import LeftOut
from .measure import SizeCost
from .projection import (
    ASSUMED,
    SEARCHED_TOKENS,
    SUBJECTS,
    Prices,
    Projection,
    TargetCost,
)


def show_costs(costs: Sequence[SizeCost]) -> None:
    """What each size cost."""
    columns = (
        *("size", "weights", "units", "tokens", "ms a token", "forward"),
        *("s a target", "spread", "index bytes"),
    )
    cells = [
        (
            cost.size.name,
            f"{cost.size.weights / 1e6:.0f} M",
            f"{cost.size.units:,}",
            f"{cost.tokens:,}",
            f"{1e3 * cost.index_cost.seconds:.3f}",
            f"{cost.forward_share:.0%}",
            f"{cost.target_cost.seconds:.3f}",
            f"{cost.targets.spread:.0%}",
            f"{cost.index_bytes:,}",
        )
        for cost in costs
    ]
    output.table(columns, cells, right=columns[1:])


def show_left_out(what: str, left_out: Sequence[LeftOut]) -> None:
    """What the model says of each size that was left out of its fit."""
    columns = (f"{what}, left out of the fit", "measured s", "predicted s", "error")
    cells = [
        (each.name, f"{each.measured:.3g}", f"{each.predicted:.3g}", f"{each.error:+.1%}")
        for each in left_out
    ]
    output.table(columns, cells, right=columns[1:])


def show_bytes(files: Iterable[BytesOnDisk]) -> None:
    """Bytes known without a fit, next to those of the files."""
    columns = ("files", "size", "predicted bytes", "measured bytes", "error")
    cells = [
        (of.what, of.size, f"{of.predicted:,}", f"{of.measured:,}", f"{of.error:+.1%}")
        for of in files
    ]
    output.table(columns, cells, right=columns[2:])


def show_conversations(usage: Mapping[str, TokenUsage], prices: Sequence[TargetPrice]) -> None:
    """Tokens of a target by role, and dollars by model."""
    columns = ("tokens of a target", "input", "of it cached", "output", "estimated at most")
    cells = [
        (
            role,
            f"{of_role.input:,}",
            f"{of_role.cache_read:,}",
            f"{of_role.output:,}",
            f"{AT_MOST[role].input:,} + {AT_MOST[role].output:,}",
        )
        for role, of_role in usage.items()
    ]
    output.table(columns, cells, right=columns[1:])
    columns = (
        *("model", "$ a target, explainer", "at most", "simulator and judge", "in batches"),
        *(f"all of {name}" for name in SUBJECTS),
    )
    neurons = [size.layers * size.mlp for size in SUBJECTS.values()]
    cells = list[tuple[str, ...]]()
    for price in prices:
        of_target = (price.explainer, price.at_most, price.readers, price.in_batches)
        of_all = [None if price.explainer is None else n * price.explainer for n in neurons]
        cells.append(
            (price.model, *(_or_dash(usd, 4) for usd in of_target), *map(_or_dash, of_all))
        )
    output.table(columns, cells, right=columns[1:])
    for origin in sorted({price.origin for price in prices}):
        output.line(f"prices: {origin}")


def _or_dash(usd: float | None, places: int = 0) -> str:
    return "-" if usd is None else f"{usd:,.{places}f}"


def show_projections(
    projections: Sequence[Projection], tokens: int, target: TargetCost, prices: Prices
) -> None:
    """Hours, and dollars where there are prices, with what is assumed.

    Args:
        tokens: of the projected index.
    """
    columns = (
        *("subject", "accelerators", "index h", "passes h", "all neurons h", "driver h"),
        *(("$",) if any(prices) else ()),
        "slowest part",
    )
    cells = [
        (
            each.subject,
            each.accelerators,
            f"{each.index_hours:.2f}",
            f"{each.passes:.2f}",
            f"{each.targets:.1f}",
            f"{each.driver:.1f}",
            *((f"{each.usd(prices):,.0f}",) if any(prices) else ()),
            each.bottleneck,
        )
        for each in projections
    ]
    output.table(columns, cells, right=columns[1:-1])
    output.line(
        f"projected for {tokens:,} tokens, not measured: each accelerator {ASSUMED.name}, assumed "
        f"{ASSUMED.flops / 1e12:.0f} TFLOP/s, {ASSUMED.link / 1e9:.0f} GB/s to the host, "
        f"{ASSUMED.cores} cores; targets on {SEARCHED_TOKENS:,} tokens: {target.origin}"
    )
    if any(prices):
        output.line(
            f"dollars at ${prices.gpu_hour:g} for an accelerator and ${prices.core_hour:g} for a core "
            "an hour, all of them from the start to the end"
        )
