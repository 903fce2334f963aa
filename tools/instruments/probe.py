"""Linear probe: can a linear classifier read a label off a site?

1. Take one vector for each text: the site's activations at the last token, or averaged over the
   tokens (position 0 left out).
2. Standardise, then fit a logistic regression (L2, C = 1) in 5-fold cross-validation. All texts of a
   group are in the same fold, so each text is predicted by a classifier that never saw its group.
   Groups that share a near-duplicate text (as documents of a corpus do) are one group.
3. The control task gives each *group* a random class, in the same proportions, and does the same.
   Selectivity is accuracy minus control accuracy. A probe that reads the group and not the label
   does no better than its control.
4. The interval is a 95 % percentile bootstrap over groups (1,000 draws) of the held-out accuracy.

Hewitt & Liang, "Designing and Interpreting Probes with Control Tasks" (EMNLP 2019). With a random
split the control reaches accuracy 1.0 at every layer of SmolLM2-135M (2,000 noun phrases), so only
the split by group says anything. That a probe can read a site does not mean that the model uses it:
ablate it to know.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, cast

from pydantic import Field

from ..datasets.groups import independent_groups
from ..errors import ArgumentError
from ..subject.address import Site
from ..subject.input_texts import batches, tokenize_texts
from .registry import InstrumentContext, Result, Text, instrument, rounded

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int


Pooling = Literal["last", "mean"]
N_FOLDS, N_CONTROLS, N_RESAMPLES = 5, 5, 1000
"""Folds; random labellings averaged for the control task; bootstrap draws."""


class Fold(NamedTuple):
    """Indices of the texts that a probe is fitted on, and of those it is tested on."""

    train: Int[np.ndarray, "train"]
    test: Int[np.ndarray, "test"]


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
    import numpy as np

    place = _parse_site(site)
    if len(labels) != len(texts) or (groups is not None and len(groups) != len(texts)):
        n_groups = "none" if groups is None else len(groups)
        raise ArgumentError(
            f"probe: {len(texts)} texts, {len(labels)} labels, {n_groups} groups; "
            "give one for each text"
        )
    names, classes = np.unique(labels, return_inverse=True)
    group = independent_groups(texts, groups)
    _check_spread(names, classes, group)
    features = _features(context, place, texts, pooling)
    folds = _folds(classes, group, seed)
    correct = _held_out(features, classes, folds)
    random = np.random.default_rng(seed)
    controls = [
        _held_out(features, _control_labels(classes, group, random), folds).mean()
        for _ in range(N_CONTROLS)
    ]
    low, high = _interval(correct, group, random)
    accuracy, control = float(correct.mean()), float(np.mean(controls))
    majority = float(np.bincount(classes).max() / len(classes))
    numbers = rounded([accuracy, low, high, majority, control, accuracy - control])
    name = f"{'resid' if place.kind == 'stream' else place.kind}.{place.layer}"
    return Probe(name, pooling, dict(Counter(labels)), int(group.max()) + 1, *numbers)


def _parse_site(text: str) -> Site:

    match = re.fullmatch(r"(resid|mlp)\.(\d+)(?:[.@].*)?", text.strip())
    if match is None:
        raise ArgumentError(
            f"probe: site {text!r} given; expected resid.LAYER, mlp.LAYER, "
            "or a neuron or direction there, e.g. resid.8"
        )
    return Site("stream" if match[1] == "resid" else "mlp", int(match[2]))


def _check_spread(
    names: np.ndarray, classes: Int[np.ndarray, "text"], group: Int[np.ndarray, "text"]
) -> None:
    import numpy as np

    if len(names) < 2:
        raise ArgumentError(f"probe: all labels are {names[0]!r}; give texts of two or more labels")
    for number, name in enumerate(names):
        n_groups = len(np.unique(group[classes == number]))
        if n_groups < N_FOLDS:
            raise ArgumentError(
                f"probe: label {str(name)!r} has texts of {n_groups} groups; "
                f"each label needs at least {N_FOLDS} (near-duplicates count as one)"
            )


def _features(
    context: InstrumentContext, site: Site, texts: Sequence[str], pooling: Pooling
) -> Float[np.ndarray, "text width"]:
    import numpy as np

    subject = context.require_subject()
    if site.layer >= subject.shape.n_layers:
        raise ArgumentError(
            f"probe: layer {site.layer} given; "
            f"the subject has layers 0 to {subject.shape.n_layers - 1}"
        )
    tokenized = tokenize_texts(subject, texts)
    rows: dict[int, np.ndarray] = {}
    for batch in batches(tokenized):
        captured = subject.capture(batch.ids, [site]).activations[site].float().cpu().numpy()
        for values, number, text in zip(captured, batch.numbers, batch.texts, strict=True):
            scored = list(text.scored)
            rows[number] = values[scored[-1]] if pooling == "last" else values[scored].mean(axis=0)
    return np.stack([rows[number] for number in range(len(texts))]).astype(np.float64)


def _folds(
    classes: Int[np.ndarray, "text"], group: Int[np.ndarray, "text"], seed: int
) -> list[Fold]:
    """Folds that split no group and hold the classes in about the same shares."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed)
    return [
        Fold(train, test) for train, test in splitter.split(np.zeros(len(classes)), classes, group)
    ]


def _held_out(
    features: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, "text"],
    folds: Sequence[Fold],
) -> Bool[np.ndarray, "text"]:
    """Which texts a probe classifies correctly when it was fitted without their group."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    correct = np.zeros(len(classes), dtype=bool)
    for train, test in folds:
        # A control labelling can leave all texts of a class in one fold.
        if len(np.unique(classes[train])) < 2:
            correct[test] = classes[test] == classes[train][0]
            continue
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        model.fit(features[train], classes[train])
        correct[test] = model.predict(features[test]) == classes[test]
    return correct


def _control_labels(
    classes: Int[np.ndarray, "text"], group: Int[np.ndarray, "text"], random: np.random.Generator
) -> Int[np.ndarray, "text"]:
    """A random class for each group: the groups' most frequent classes, shuffled among them."""
    import numpy as np

    own = np.array([np.bincount(classes[group == g]).argmax() for g in range(group.max() + 1)])
    if len(np.unique(own)) > 1:
        return random.permutation(own)[group]
    return random.integers(0, classes.max() + 1, len(own))[group]


def _interval(
    correct: Bool[np.ndarray, "text"], group: Int[np.ndarray, "text"], random: np.random.Generator
) -> tuple[float, float]:
    import numpy as np

    right, size = np.bincount(group, weights=correct), np.bincount(group)
    drawn = random.integers(0, len(size), (N_RESAMPLES, len(size)))
    low, high = np.quantile(right[drawn].sum(axis=1) / size[drawn].sum(axis=1), [0.025, 0.975])
    return cast(float, low), cast(float, high)
