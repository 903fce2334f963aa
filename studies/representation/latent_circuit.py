"""Latent circuit: which latents of a dictionary carry a task, and how much the dictionary misses.

1. A vector of the subject is the sum of its latents' writes, a bias, and an error node: what the
   dictionary does not reconstruct (`tools.circuits.latents`). With all of them the subject is itself.
2. On discovery prompts every node is scored by integrated gradients. The circuit is the fewest
   latents, the largest |effect| first, with which f reaches what is asked for, error nodes kept.
3. On held-out prompts, once, with f = (m(circuit) - m(nothing)) / (m(subject) - m(nothing)): the
   circuit; the circuit without error nodes; error nodes alone; all latents without error nodes; and
   what is left without the circuit, which is 0 where it is complete.
4. Floors. Random latents: as many of those that differ between prompts and twins, with the error
   nodes where the circuit has them. Rotated: the same search among the latents of the dictionary
   turned into random directions, which fire as sparsely and mean nothing.
5. Claims compare f with its floor on the same prompts (paired bootstrap over prompts). Floors differ
   among themselves, and do so on all prompts alike: the difference from their mean must exceed what a
   further draw would differ by (a one-sided prediction interval: t x sd x sqrt(1 + 1/draws)).

Marks et al. 2024, "Sparse Feature Circuits" (arXiv 2403.19647).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import ERROR_RATE, above, below, cannot_say, joint_level, with_means
from .latent_faithfulness import SizedRun, f_of, ratio, smallest
from .latent_figures import nodes_figure, single_figure, sizes_figure
from .latent_layout import NodeLayout
from .latent_runs import LatentRunOptions, LatentRuns

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

    from ...evals.statistics.bootstrap import Interval
    from ..measurements import Measured

DRAWS = 5
"""Random sets of latents, and rotations of the dictionary."""
SINGLE = 10
"""Strongest and random latents that are ablated one by one, beside the error nodes."""
BISECTIONS = 3
"""Further sizes tried between two powers of 2: the size is then known to an eighth of it."""
CLAIMS = 4
ALL_LATENTS = "all latents without error nodes"
RANDOM_RUNS = (
    "circuit",
    "circuit without error nodes",
    "all but the circuit",
    "all but its latents",
)
"""Runs that have a floor of random latents."""
ROTATED_RUNS = ("circuit", "circuit without error nodes", ALL_LATENTS)
"""Runs that have a floor of rotated dictionaries."""
LEAST_PROMPTS = 12


class HeldOutRuns(NamedTuple):
    """Each held-out prompt's metric, by the name of a run.

    Attributes:
        own: runs with the trained dictionary; `whole` has every node, `nothing` none.
        random: of each set of random latents; `rotated`: of each rotated dictionary.
    """

    own: Measured
    random: Sequence[Measured]
    rotated: Sequence[Measured]


@study("latent-circuit", question="Which latents of a dictionary carry a task?")
def latent_circuit(
    study: StudyContext,
    dictionary: Annotated[
        list[str],
        Field(min_length=1, description="NAME=PATH of each dictionary, one for each place"),
    ],
    task: Annotated[str, Field(description="a task of `hubel circuit tasks`, or a file")] = "ioi",
    faithfulness: Annotated[float, Field(gt=0, le=1, description="f to reach")] = 0.8,
    latents: Annotated[int, Field(ge=0, description="number of latents; 0: by f")] = 0,
    ablation: Annotated[
        Literal["resample", "mean"], Field(description="from the twin, or the mean over twins")
    ] = "resample",
    steps: Annotated[int, Field(ge=1, le=500, description="of integrated gradients")] = 5,
    discovery: Annotated[int, Field(ge=LEAST_PROMPTS, description="prompts")] = 32,
    heldout: Annotated[int, Field(ge=LEAST_PROMPTS, description="prompts")] = 48,
    unchecked_dictionaries: Annotated[
        bool, Field(description="take dictionaries that do not fit, such as random ones")
    ] = False,
    seed: int = 0,
) -> StudyResult:
    """Find the latents through which a task's prompts differ from their twins, and test them.

    Reports faithfulness and completeness on held-out prompts with error nodes and without them, the
    share of the effect that the dictionary does not express, and floors of random latents and of the
    dictionary turned into random directions.
    """
    options = LatentRunOptions(
        task, tuple(dictionary), ablation, steps, discovery, heldout, unchecked_dictionaries, seed
    )
    runs = LatentRuns(study, options)
    layout = NodeLayout.of(runs.facts)
    effects = runs.effects(DRAWS)
    sizes = _measure_sizes(runs, layout, effects, faithfulness, latents)
    chosen = latents or smallest(sizes, faithfulness)
    chosen = min(chosen, layout.n_latents)
    which = single_nodes(layout, effects, seed)
    exact = runs.exact(which)["exact"]
    measured = _measure_heldout(runs, layout, effects, chosen, seed)
    result = conclude(measured, chosen, layout.n_latents, runs.plain("heldout"))
    rows = [*result.rows, error_share(layout, effects["effects"], chosen)]
    figures = [
        sizes_figure(sizes),
        nodes_figure(layout, effects["effects"], chosen),
        single_figure(layout, effects["effects"], which, exact),
    ]
    return StudyResult(rows, result.claims, figures)


def _measure_sizes(
    runs: LatentRuns, layout: NodeLayout, effects: Measured, minimum: float, given: int
) -> list[SizedRun]:
    """Circuits of growing size on discovery prompts, and sizes between two of them."""
    mean, errors = effects["effects"].mean(0), layout.is_error
    largest = max(1, int((effects["moved"] & ~errors).sum()))

    def at(size: int) -> SizedRun:
        latents = layout.strongest(mean, size)
        circuits = {"circuit": latents | errors, "without errors": latents}
        ends = {"whole": errors | True, "nothing": errors & False} if size == 0 else {}
        return SizedRun(size, runs.metrics(f"size-{size}", "discovery", {**circuits, **ends}))

    grid = sorted(
        {0, *(2**k for k in range(largest.bit_length())), largest, *([given] * (given > 0))}
    )
    sizes = [at(size) for size in grid]
    for _ in range(0 if given else BISECTIONS):
        upper = smallest(sizes, minimum)
        lower = max(size for size, _ in sizes if size < upper)
        if upper - lower > 1:
            sizes = sorted([*sizes, at((lower + upper) // 2)], key=lambda each: each.size)
    return sizes


def single_nodes(layout: NodeLayout, effects: Measured, seed: int) -> Int[np.ndarray, " some"]:
    """Nodes whose estimate is held against a run: the strongest, random ones, and the errors."""
    strongest = layout.strongest(effects["effects"].mean(0), SINGLE)
    random = layout.drawn(strongest, effects["moved"], seed)
    return np.flatnonzero(strongest | random | layout.is_error)


def _measure_heldout(
    runs: LatentRuns, layout: NodeLayout, effects: Measured, n: int, seed: int
) -> HeldOutRuns:
    """The runs on held-out prompts: the circuit's, and the same of random latents and rotations."""
    errors, everything = layout.is_error, layout.is_error | True
    circuit = layout.strongest(effects["effects"].mean(0), n)
    ends = {"whole": everything, "nothing": ~everything, "errors alone": errors}
    own = runs.metrics("heldout", "heldout", {**ends, **circuit_runs(circuit, errors)})
    of_random = [
        runs.metrics(
            f"heldout-random-{draw}",
            "heldout",
            _floor_runs(layout.drawn(circuit, effects["moved"], seed + draw), errors, RANDOM_RUNS),
        )
        for draw in range(DRAWS)
    ]
    of_rotated = [
        runs.metrics(
            f"heldout-rotated-{draw}",
            "heldout",
            _floor_runs(layout.strongest(effects["rotated"][draw], n), errors, ROTATED_RUNS),
            rotation=draw,
        )
        for draw in range(DRAWS)
    ]
    return HeldOutRuns(own, of_random, of_rotated)


def circuit_runs(
    latents: Bool[np.ndarray, " node"], errors: Bool[np.ndarray, " node"]
) -> dict[str, Bool[np.ndarray, " node"]]:
    """The runs that tell what a set of latents is worth."""
    return {
        "circuit": latents | errors,
        "circuit without error nodes": latents,
        ALL_LATENTS: ~errors,
        "all but the circuit": ~(latents | errors),
        "all but its latents": ~latents,
    }


def _floor_runs(
    latents: Bool[np.ndarray, " node"],
    errors: Bool[np.ndarray, " node"],
    names: Sequence[str],
) -> dict[str, Bool[np.ndarray, " node"]]:
    runs = circuit_runs(latents, errors)
    return {name: runs[name] for name in names}


def conclude(heldout: HeldOutRuns, n: int, of: int, plain: Measured) -> StudyResult:
    """The claims and a row for each run.

    Args:
        n: latents of the circuit, `of` so many.
        plain: the metric without a dictionary, of the clean prompts and of their twins.
    """
    own = heldout.own
    prompts = len(own["whole"])
    change = own["whole"] - own["nothing"]
    effect = ratio(change)
    if effect.low is None or effect.low <= 0:
        why = "ablating all nodes does not take the answer away, so that there is nothing to carry"
        claims: list[StudyClaim] = [cannot_say(why, prompts, effect.value)]
    else:
        claims = _claims(heldout, n, of)
    kept = {"circuit": n, "circuit without error nodes": n, ALL_LATENTS: of}
    kept |= {"errors alone": 0, "all but the circuit": of - n, "all but its latents": of - n}
    names = ["circuit", "circuit without error nodes", "errors alone"]
    names += [ALL_LATENTS, "all but the circuit", "all but its latents"]
    rows = [_row(name, kept[name], heldout) for name in names]
    reach = ratio(change, plain["clean"] - plain["twin"])
    rows.append(_plain_row("effect through these places, of the task's", of, reach))
    return StudyResult(rows, claims)


def _claims(heldout: HeldOutRuns, n: int, of: int) -> list[StudyClaim]:
    own, random, rotated = heldout
    few = f"{n:,} of {of:,} latents"

    def compared(
        claim: str, run: str, floors: Sequence[Measured], decide: Callable[..., StudyClaim] = above
    ) -> StudyClaim:
        whole = own["whole"] - own["nothing"]
        mean = np.mean([floor[run] for floor in floors], axis=0)
        difference = ratio(own[run] - mean, whole, joint_level(CLAIMS))
        means = (f_of(own, metric).value for metric in (own[run], mean))
        bound = further_draw([f_of(own, floor[run]).value for floor in floors])
        sign = 1 if decide is above else -1
        return decide(with_means(claim, *means), difference, sign * bound, len(whole))

    return [
        compared(
            f"{few} and the error nodes have a larger f than random latents", "circuit", random
        ),
        compared(
            "without these latents and the error nodes f is smaller than without random ones",
            "all but the circuit",
            random,
            below,
        ),
        compared(
            f"{few} without error nodes have a larger f than as many of a rotated dictionary",
            "circuit without error nodes",
            rotated,
        ),
        compared(
            "all latents without error nodes have a larger f than those of a rotated dictionary",
            ALL_LATENTS,
            rotated,
        ),
    ]


def further_draw(floors: Sequence[float]) -> float:
    """How far a further draw may lie from the mean of some, on one side (a prediction interval)."""
    from scipy.special import stdtrit

    n = len(floors)
    t = float(stdtrit(n - 1, 1 - ERROR_RATE / CLAIMS))
    return t * float(np.std(floors, ddof=1)) * (1 + 1 / n) ** 0.5


def _row(name: str, latents: int, heldout: HeldOutRuns) -> dict[str, Any]:
    f = f_of(heldout.own, heldout.own[name])

    def floor(draws: Sequence[Measured]) -> float | None:
        values = [f_of(heldout.own, draw[name]).value for draw in draws if name in draw]
        return float(np.mean(values)) if values else None

    named = {"run": name, "latents": latents, "f": f.value, "low": f.low, "high": f.high}
    return named | {"random latents": floor(heldout.random), "rotated": floor(heldout.rotated)}


def _plain_row(name: str, latents: int, interval: Interval) -> dict[str, Any]:
    value, low, high = interval
    named = {"run": name, "latents": latents, "f": value, "low": low, "high": high}
    return named | {"random latents": None, "rotated": None}


def error_share(
    layout: NodeLayout, effects: Float[np.ndarray, "prompts node"], n: int
) -> dict[str, Any]:
    """The error nodes' part of the estimated effect of all nodes, on discovery prompts."""
    of_errors = effects[:, layout.is_error].sum(1)
    share = ratio(of_errors, effects.sum(1))
    return _plain_row("error nodes' share of the effect (estimate)", n, share)
