"""Statistics and exemplars of random directions, from the activation store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .rows import SpeedRow
from .speed_bench import Stopwatch

if TYPE_CHECKING:
    from .speed_bench import SpeedBench

N_DIRECTIONS = 16_384


def random_directions(bench: SpeedBench) -> Iterator[SpeedRow]:
    """Unit vectors in the residual stream of the middle layer, drawn at random."""
    import torch

    from ...tools.index import Index
    from ...tools.index.derived_index import index_derived_units
    from ...tools.index.derived_units import direction_units
    from ...tools.subject.address import Site

    subject, origin = bench.subject, Index.open(bench.index)
    layer = subject.shape.n_layers // 2
    drawn = torch.randn(N_DIRECTIONS, subject.d_model, generator=torch.Generator().manual_seed(0))
    vectors = torch.nn.functional.normalize(drawn)
    named = {f"random-{number}": vector for number, vector in enumerate(vectors)}
    units = direction_units(layer, Site("stream", layer), named)
    name = f"{N_DIRECTIONS:,} random directions of layer {layer}"
    bench.reporter.say(name)
    watch = Stopwatch()
    summary = index_derived_units(
        subject,
        origin,
        [units],
        bench.folder / "directions",
        progress=bench.reporter,
        say=bench.reporter.say,
    )
    wall, cpu = watch.read()
    figures = {"tokens": summary.tokens, "peak_rss_mb": summary.peak_rss_mb}
    yield SpeedRow(name, wall, cpu, figures)
