"""Concept: is a concept a direction of the stream, and does the direction act on the next token?

1. Vectors of labelled texts after one layer. The concept is the second label, or the one that is named.
2. Its direction (`tools/representation/concept_vectors`), and how alike the directions of two halves
   of the groups are. Control: the same of shuffled labels.
3. TCAV: the share of texts at which a step along it raises logit(target) - logit(against) at the last
   token. Control: directions of shuffled labels.
4. p by permutation: a stable direction has a larger cosine than shuffled labels give (one-sided); one
   that acts may raise the logit or lower it (two-sided). Labels that vary within groups are shuffled
   within them.

Kim et al., "Interpretability Beyond Feature Attribution: Testing with Concept Activation Vectors" (ICML
2018). A direction is where texts differ, which need not be the concept: give groups that hold the rest
alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...tools.representation.concept_vectors import (
    ConceptMethod,
    concept_vector,
    cosine,
    permutation_p,
    random_concepts,
    stability,
    tcav,
)
from ..figures import LinePlot, PlottedLine
from ..registry import study
from ..result import StudyClaim, StudyResult, Verdict
from ..study_context import StudyContext
from .layer_vectors import DatasetName, TextCount, chosen_texts, described, one_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int

    from ..measurements import Measured

N_RANDOM = 99
"""Directions of shuffled labels: the least p is 1/100."""
LEVEL = 0.02
"""Of each of the two claims, so that in at most 4 % of nulls one is supported."""


@study("concept", question="Is a concept a stable direction, and does it act on the next token?")
def concept(
    study: StudyContext,
    data: DatasetName = "probing/subject-number",
    concept: Annotated[str | None, Field(description="its label; default: the second one")] = None,
    target: Annotated[
        str, Field(description="a token that the concept should make likely")
    ] = " They",
    against: Annotated[str, Field(description="the token that it is compared with")] = " He",
    layer: Annotated[int | None, Field(ge=0, description="default: the middle one")] = None,
    method: ConceptMethod = "regression",
    texts: TextCount = 600,
    seed: int = 0,
) -> StudyResult:
    """Find the direction of a concept after one layer, and test what a step along it does.

    Both claims are compared with directions of shuffled labels.
    """
    measured = study.measured(
        "slopes", lambda: measure_slopes(study, data, layer, target, against, texts, seed)
    )
    return conclude(
        measured["vectors"],
        measured["gradients"],
        measured["label"].tolist(),
        measured["group"],
        (int(measured["layer"]), target, against),
        concept,
        method,
        seed,
    )


def measure_slopes(
    study: StudyContext,
    data: str,
    layer: int | None,
    target: str,
    against: str,
    texts: int,
    seed: int,
) -> Measured:
    """Vectors and gradients [text, width] after one layer, with labels and groups."""
    from ...tools.representation.collect import collect
    from ...tools.representation.logit_slopes import logit_slopes
    from ...tools.subject.address import Site

    study.subject.require_decoder("what a concept does to the next token")
    chosen = chosen_texts(data, texts, seed)
    at = one_layer(study.subject, layer)
    study.progress("vectors and slopes", 0, 2)
    (vectors,) = collect(study.subject, chosen.texts, [Site("stream", at)])
    study.progress("vectors and slopes", 1, 2)
    gradients = logit_slopes(study.subject, chosen.texts, at, target, against)
    return {
        "vectors": vectors,
        "gradients": gradients,
        "layer": np.array(at),
        **described(chosen),
    }


def conclude(
    vectors: Float[np.ndarray, "text width"],
    gradients: Float[np.ndarray, "text width"],
    labels: Sequence[str],
    group: Int[np.ndarray, " text"],
    place: tuple[int, str, str],
    concept: str | None = None,
    method: ConceptMethod = "regression",
    seed: int = 0,
) -> StudyResult:
    """Whether the direction is stable and acts, each against shuffled labels; a row for each direction."""
    from ...tools.errors import UsageError
    from ...tools.representation.groups import label_classes

    known = label_classes(labels, "concept")
    named = known.names[1] if concept is None else concept
    if named not in known.names:
        raise UsageError(f"no text has the label {named!r}; there are {', '.join(known.names)}")
    is_concept = (known.classes == known.names.index(named)).astype(int)
    group = np.unique(group, return_inverse=True)[1]
    layer, target, against = place
    shuffled = random_concepts(vectors, is_concept, group, N_RANDOM, method, seed)
    own = concept_vector(vectors, is_concept, method)
    directions = [own, *(each.vector for each in shuffled)]
    labellings = [is_concept, *(each.is_concept for each in shuffled)]
    scores = [tcav(direction, gradients) for direction in directions]
    halves = [stability(vectors, given, group, method, seed) for given in labellings]
    n = len(np.unique(group))
    what = f"a step along it at resid.{layer} moves {target!r} against {against!r}"
    claims = [
        _tested(
            f"{named!r} is a stable direction of resid.{layer} (cosine of halves)",
            halves,
            n,
            two_sided=False,
        ),
        _tested(f"{what} (share of texts where it rises)", scores, n, two_sided=True),
    ]
    means = concept_vector(vectors, is_concept, "means")
    columns = zip(
        [named, *(f"shuffled {number}" for number in range(N_RANDOM)), "difference of means"],
        [*scores, tcav(means, gradients)],
        [*halves, None],
        [cosine(vector.direction, own.direction) for vector in (*directions, means)],
        strict=True,
    )
    rows = [
        {"direction": name, "tcav": score, "stability": half, "cosine to the concept": along}
        for name, score, half, along in columns
    ]
    return StudyResult(rows, claims, [_sorted_scores(scores, named)])


def _tested(claim: str, values: Sequence[float], n: int, *, two_sided: bool) -> StudyClaim:
    """A figure compared with those of shuffled labels: their middle is the control, p decides."""
    own, others = values[0], np.array(values[1:])
    p = permutation_p(own, others.tolist(), two_sided=two_sided)
    verdict: Verdict = "supported" if p <= LEVEL else "cannot say"
    low, high = np.quantile(others, [LEVEL / 2, 1 - LEVEL / 2]) - np.median(others) + own
    sentence = f"{claim}: p {p:.3g} of {len(others)} shuffled labels"
    return StudyClaim(sentence, verdict, own, float(low), float(high), float(np.median(others)), n)


def _sorted_scores(scores: Sequence[float], named: str) -> LinePlot:
    order = list(range(len(scores) - 1))
    lines = [
        PlottedLine(named, order, [scores[0]] * len(order)),
        PlottedLine("shuffled labels", order, sorted(scores[1:]), is_control=True),
    ]
    return LinePlot("tcav", "TCAV of the concept among shuffled labels", "rank", "TCAV", lines)
