"""Linear probe: can a linear classifier read a label off a site?

1. Take one vector for each text: the site's activations at the last token, or averaged over the
   tokens (position 0 left out).
2. Probe it, and the control task, on groups that the probe never saw (`representation.probe`): five
   folds, five control labellings.
3. The interval is a 95 % percentile bootstrap over groups (1,000 draws) of the held-out accuracy.

Hewitt & Liang, "Designing and Interpreting Probes with Control Tasks" (EMNLP 2019).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, cast

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field

from ..datasets.groups import independent_groups
from ..errors import ArgumentError
from ..representation import probe as representation
from ..representation.collect import Pooling, collect, site_name
from ..representation.groups import label_classes, require_spread
from ..representation.probe import N_FOLDS
from ..subject.address import Site
from ..subject.input_texts import tokenize_texts
from .registry import InstrumentContext, Result, Text, instrument, rounded

N_RESAMPLES = 1000


@dataclass(frozen=True)
class Probe(Result):
    """How well a label can be read off a site.

    Attributes:
        accuracy: on held-out groups, with its 95 % interval `low` to `high`.
        majority: accuracy of always giving the most frequent label.
        control: mean accuracy on the control task.
        selectivity: accuracy minus control.
    """

    site: str
    pooling: Pooling
    labels: dict[str, int]
    n_groups: int
    accuracy: float
    low: float
    high: float
    majority: float
    control: float
    selectivity: float

    def render(self) -> str:
        return (
            f"probe of {self.site} ({self.pooling} token): held-out accuracy {self.accuracy:.3f} "
            f"[{self.low:.3f}, {self.high:.3f}] over {self.n_groups} groups; "
            f"most frequent label {self.majority:.3f}, control task {self.control:.3f}, "
            f"selectivity {self.selectivity:+.3f}"
        )


@instrument("probe", needs=("subject",))
def probe(
    context: InstrumentContext,
    site: Annotated[
        str,
        Field(
            description="resid.8 (the stream after layer 8), mlp.8 (its neurons), or address of a unit there"
        ),
    ],
    texts: Annotated[list[Text], Field(min_length=10, max_length=5000)],
    labels: Annotated[
        list[str], Field(description="one label for each text, two or more different ones")
    ],
    groups: Annotated[
        list[str] | None,
        Field(description="texts of one group (same noun, same template) are never split"),
    ] = None,
    pooling: Pooling = "last",
    seed: int = 0,
) -> Probe:
    """Test whether a linear probe can read your labels of texts from a place in the model.

    Give at least 5 groups of texts for each label. Texts that share what could be memorised (the
    same word, the same template) belong to one group; without groups each different text is its
    own. Near-duplicates always count as one group. Reports accuracy on held-out groups, a control
    task with random labels, and the difference, selectivity; accuracy without selectivity is
    worthless.
    """
    place = _parse_site(site)
    if len(labels) != len(texts) or (groups is not None and len(groups) != len(texts)):
        n_groups = "none" if groups is None else len(groups)
        raise ArgumentError(
            f"probe: {len(texts)} texts, {len(labels)} labels, {n_groups} groups; "
            "give one for each text"
        )
    known = label_classes(labels)
    group = independent_groups(texts, groups)
    require_spread(known, group, N_FOLDS)
    subject = context.require_subject()
    tokenize_texts(subject, texts)  # each has a token after position 0, which never counts
    (vectors,) = collect(subject, texts, [place], pooling=pooling)
    result = representation.probe(vectors, known.classes, group, seed=seed)
    low, high = _interval(result.correct, group, seed)
    majority = float(np.bincount(known.classes).max() / len(labels))
    control = float(result.control.mean())
    numbers = [result.accuracy, low, high, majority, control, result.selectivity]
    counts = dict(Counter(labels))
    return Probe(site_name(place), pooling, counts, int(group.max()) + 1, *rounded(numbers))


def _parse_site(text: str) -> Site:
    match = re.fullmatch(r"(resid|mlp)\.(\d+)(?:[.@].*)?", text.strip())
    if match is None:
        raise ArgumentError(
            f"probe: site {text!r} given; expected resid.LAYER, mlp.LAYER, "
            "or a neuron or direction there, e.g. resid.8"
        )
    return Site("stream" if match[1] == "resid" else "mlp", int(match[2]))


def _interval(
    correct: Bool[np.ndarray, " text"], group: Int[np.ndarray, " text"], seed: int
) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    right, size = np.bincount(group, weights=correct), np.bincount(group)
    drawn = random.integers(0, len(size), (N_RESAMPLES, len(size)))
    low, high = np.quantile(right[drawn].sum(axis=1) / size[drawn].sum(axis=1), [0.025, 0.975])
    return cast(float, low), cast(float, high)
