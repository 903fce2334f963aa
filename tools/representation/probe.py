"""Probes: can a classifier read a label off vectors of texts whose groups it never saw?

1. Standardise by the mean and spread of the training texts.
2. Fit a logistic regression (L2, C = 1), or a perceptron with one hidden layer of 100, in folds that
   split no group (`groups`), so that each text is predicted by a classifier that never saw its group.
3. Do the same with the labels of the control task. Selectivity is accuracy minus the control's.
4. A direction of the vectors' own space is what a linear probe reads: its weights divided by the
   spread of each dimension.

Hewitt & Liang, "Designing and Interpreting Probes with Control Tasks" (EMNLP 2019). That a probe can
read a place does not mean that the model uses it: erase it to know.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from .groups import Fold, control_labels, group_folds

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

ProbeKind = Literal["linear", "mlp"]
N_FOLDS, N_CONTROLS = 5, 5
"""Folds, and random labellings that are averaged for the control, of a probe of one place."""
HIDDEN = 100


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a probe says of texts whose groups it never saw.

    Attributes:
        correct: whether each text's class was predicted.
        control: the share of control labellings that were predicted, for each text.
    """

    correct: Bool[np.ndarray, " text"]
    control: Float[np.ndarray, " text"]

    @property
    def accuracy(self) -> float:
        """Share of texts that were classified correctly."""
        return float(self.correct.mean())

    @property
    def selectivity(self) -> float:
        """Accuracy minus that of the control task."""
        return self.accuracy - float(self.control.mean())


def probe(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    *,
    kind: ProbeKind = "linear",
    n_folds: int = N_FOLDS,
    n_controls: int = N_CONTROLS,
    seed: int = 0,
) -> HeldOut:
    """Probe one place. Every class must be in `n_folds` groups (`groups.require_spread`)."""
    folds = group_folds(classes, group, n_folds, seed)
    labellings = _controls(classes, group, n_controls, seed)
    correct = held_out(vectors, classes, folds, kind, seed)
    control = [held_out(vectors, labels, folds, kind, seed) for labels in labellings]
    return HeldOut(correct, np.mean(control, axis=0))


def probe_places(
    vectors: Float[np.ndarray, "place text width"],
    classes: Int[np.ndarray, " text"],
    control: Int[np.ndarray, " text"],
    train: Int[np.ndarray, " train"],
    *,
    kind: ProbeKind = "linear",
    seed: int = 0,
    threads: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[HeldOut]:
    """Probe many places with one split: two fits for each, of the classes and of the control.

    Args:
        control: labels of the control task.
        train: rows to fit on. Values of these rows in the result are of texts that a probe has seen.
    """
    from threadpoolctl import threadpool_limits

    def one(place: Float[np.ndarray, "text width"]) -> HeldOut:
        right = []
        for labels in (classes, control):
            # a control labelling can leave the train texts with one class
            known = np.unique(labels[train])
            said = known[0]
            if len(known) > 1:
                said = fitted(place[train], labels[train], kind, seed).predict(place)
            right.append(said == labels)
        return HeldOut(right[0], right[1].astype(np.float64))

    results = []
    # One thread for each fit: the products are small, and sums in another order round differently.
    # Perceptrons take turns, since warnings are silenced for all threads at once.
    with threadpool_limits(1), ThreadPoolExecutor(threads if kind == "linear" else 1) as pool:
        for result in pool.map(one, vectors):
            results.append(result)
            progress(len(results), len(vectors))
    return results


def held_out(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    folds: Sequence[Fold],
    kind: ProbeKind = "linear",
    seed: int = 0,
) -> Bool[np.ndarray, " text"]:
    """Which texts a probe classifies correctly when it was fitted without their group."""
    correct = np.zeros(len(classes), dtype=bool)
    for train, test in folds:
        # a control labelling can leave all texts of a class in one fold
        if len(np.unique(classes[train])) < 2:
            correct[test] = classes[test] == classes[train][0]
            continue
        model = fitted(vectors[train], classes[train], kind, seed)
        correct[test] = model.predict(vectors[test]) == classes[test]
    return correct


def fitted(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    kind: ProbeKind = "linear",
    seed: int = 0,
    inverse_penalty: float = 1.0,
) -> Pipeline:
    """A probe fitted on all these texts: standardisation, then the classifier.

    Args:
        inverse_penalty: C of the logistic regression.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any
    if kind == "linear":
        model = LogisticRegression(C=inverse_penalty, max_iter=2000)
    else:
        model = MLPClassifier((HIDDEN,), max_iter=300, random_state=seed)
    probe = make_pipeline(StandardScaler(), model)
    return probe.fit(vectors, classes) if kind == "linear" else fit_quietly(probe, vectors, classes)


def fit_quietly(model: Any, vectors: np.ndarray, classes: np.ndarray) -> Any:
    """Fit a model of scikit-learn; one that has not converged is held to unseen texts like any other."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(vectors, classes)


def direction(model: Any) -> Float[np.ndarray, "class width"]:
    """What a linear probe reads, in the vectors' own units; one row for two classes."""
    scaler, regression = model[0], model[-1]
    return regression.coef_ / scaler.scale_


def _controls(
    classes: Int[np.ndarray, " text"], group: Int[np.ndarray, " text"], n: int, seed: int
) -> Iterator[Int[np.ndarray, " text"]]:
    random = np.random.default_rng(seed)
    for _ in range(n):
        yield control_labels(classes, group, random)
