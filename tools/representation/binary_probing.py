"""Binary probing in five settings, after Kantamneni et al.: how much can be read off a vector, and with
how little data, how few of a class, how many wrong labels, and in other texts?

1. Train and test texts have no near-duplicate in common; both hold the classes alike.
2. A logistic regression (L2) on standardised vectors. Its C is one of ten from 1e-5 to 1e5, the one
   with the best AUC on validation texts: up to a sixth and at most 100 of the train texts from 128 on,
   six folds from 13 on, and C = 1 for fewer.
3. It is fitted again on all train texts. The score is the AUC on the test texts.
4. Settings: *standard* (all train texts), *scarcity* (a few of them, classes alike), *imbalance* (the
   most that give a class its share), *corruption* (a share of the train labels flipped), *other texts*
   (a test of other origin).
5. Controls: the most frequent class (AUC 0.5), shuffled train labels, and the embedding of the token
   whose vector is probed.

Kantamneni et al., "Are Sparse Autoencoders Useful? A Case Study in Sparse Probing" (ICML 2025). It does
not standardise; some dimensions of a language model are a hundred times larger than others, and a
regression that has to undo this takes twenty times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ..errors import ArgumentError
from .probe import fit_quietly

Setting = Literal["standard", "scarcity", "imbalance", "corruption", "other texts", "control"]
INVERSE_PENALTIES = np.logspace(-5, 5, 10)
"""C, from the strongest penalty on: each fit begins at the one before."""
FEWEST_VALIDATED, SINGLE_SPLIT, MOST_VALIDATION, N_FOLDS = 13, 128, 100, 6
SCARCE = (8, 32, 128)
"""Train texts, both classes together."""
SHARES = (0.1, 0.9)
"""Of the second class in training."""
FLIPPED = (0.2, 0.4)
"""Share of train labels that are wrong."""
MOST_STEPS = 300
"""Of a fit. Only those of hardly any penalty on labels that no line separates take more."""
LEAST_TEST = 20
"""Test texts of each class; an AUC of fewer says little."""


class BinaryFit(NamedTuple):
    """A fitted probe, the C that was chosen, and its AUC on the validation texts (None: not chosen)."""

    model: Any
    inverse_penalty: float
    validation_auc: float | None


@dataclass(frozen=True)
class BinaryScore:
    """What one probe gave.

    Attributes:
        parameter: train texts, share of the second class, or share of flipped labels.
        majority: accuracy of the most frequent class of the test texts.
    """

    setting: Setting
    parameter: float
    n_train: int
    inverse_penalty: float
    validation_auc: float | None
    auc: float
    accuracy: float
    majority: float


class TrainTest(NamedTuple):
    """Vectors and classes (0 or 1) to train on and to test on; `group` is of the train texts."""

    train: Float[np.ndarray, "train width"]
    classes: Int[np.ndarray, " train"]
    group: Int[np.ndarray, " train"]
    test: Float[np.ndarray, "test width"]
    test_classes: Int[np.ndarray, " test"]


def fit_binary(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    seed: int = 0,
) -> BinaryFit:
    """Choose C on validation texts that share no group with the others, then fit all."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaled = scaler.fit_transform(vectors)
    chosen, validation_auc = 1.0, None
    splits = list(_validation(classes, group, seed))
    if splits:
        aucs = np.zeros((len(splits), len(INVERSE_PENALTIES)))
        for row, (train, validation) in enumerate(splits):
            path = LogisticRegression(max_iter=MOST_STEPS, warm_start=True)
            for column, inverse_penalty in enumerate(INVERSE_PENALTIES):
                path.set_params(C=inverse_penalty)
                fit_quietly(path, scaled[train], classes[train])
                scores = path.decision_function(scaled[validation])
                aucs[row, column] = roc_auc_score(classes[validation], scores)
        best = int(aucs.mean(axis=0).argmax())
        chosen, validation_auc = float(INVERSE_PENALTIES[best]), float(aucs.mean(axis=0)[best])
    regression = LogisticRegression(C=chosen, max_iter=MOST_STEPS)
    fit_quietly(regression, scaled, classes)
    return BinaryFit(_pipeline(scaler, regression), chosen, validation_auc)


def score_settings(data: TrainTest, seed: int = 0) -> list[BinaryScore]:
    """Every setting that has one test: the standard one first, the control last.

    Raises:
        ArgumentError: a class has too few test texts, or is not in the train texts.
    """
    require_both(data)
    scores = [score(data, "standard", len(data.classes), seed)]
    random = np.random.default_rng(seed)
    for setting, parameter, rows, classes in _variants(data.classes, random):
        part = data._replace(train=data.train[rows], classes=classes, group=data.group[rows])
        scores.append(score(part, setting, parameter, seed))
    return scores


def score(data: TrainTest, setting: Setting, parameter: float, seed: int = 0) -> BinaryScore:
    """Fit on the train texts, and score on the test texts."""
    from sklearn.metrics import roc_auc_score

    fit = fit_binary(data.train, data.classes, data.group, seed)
    scores = fit.model.decision_function(data.test)
    counts = np.bincount(data.test_classes, minlength=2)
    return BinaryScore(
        setting,
        float(parameter),
        len(data.classes),
        fit.inverse_penalty,
        fit.validation_auc,
        float(roc_auc_score(data.test_classes, scores)),
        float(((scores > 0) == data.test_classes).mean()),
        float(counts.max() / counts.sum()),
    )


def require_both(data: TrainTest, what: str = "binary probing") -> None:
    """Check that both classes are there to train on, and often enough to test on.

    Raises:
        ArgumentError: they are not.
    """
    trained, tested = (
        np.bincount(classes, minlength=2) for classes in (data.classes, data.test_classes)
    )
    if len(trained) > 2 or len(tested) > 2:
        raise ArgumentError(f"{what}: {max(len(trained), len(tested))} classes given; expected two")
    if trained.min() < 2 or tested.min() < LEAST_TEST:
        raise ArgumentError(
            f"{what}: {trained[0]} and {trained[1]} train texts and {tested[0]} and {tested[1]} "
            f"test texts of the two classes; each needs 2 to train on and {LEAST_TEST} to test on"
        )


def _variants(
    classes: Int[np.ndarray, " text"], random: np.random.Generator
) -> Iterator[tuple[Setting, float, Int[np.ndarray, " row"], Int[np.ndarray, " row"]]]:
    """Rows to train on and their labels, for each setting but the standard one."""
    for n in SCARCE:
        if n < len(classes):
            rows = _with_share(classes, 0.5, n, random)
            yield "scarcity", n, rows, classes[rows]
    for share in SHARES:
        counts = np.bincount(classes, minlength=2)
        most = int(min(counts[0] / (1 - share), counts[1] / share))
        rows = _with_share(classes, share, most, random)
        yield "imbalance", share, rows, classes[rows]
    everything = np.arange(len(classes))
    for share in FLIPPED:
        flipped = classes.copy()
        wrong = random.choice(len(classes), int(share * len(classes)), replace=False)
        flipped[wrong] = 1 - flipped[wrong]
        yield "corruption", share, everything, flipped
    yield "control", len(classes), everything, random.permutation(classes)


def _with_share(
    classes: Int[np.ndarray, " text"], share: float, n: int, random: np.random.Generator
) -> Int[np.ndarray, " row"]:
    """`n` rows of which a share is of the second class; at least two of each."""
    counts = np.bincount(classes, minlength=2)
    second = int(np.clip(round(share * n), 2, counts[1]))
    first = int(np.clip(n - second, 2, counts[0]))
    of_first = random.choice(np.flatnonzero(classes == 0), first, replace=False)
    of_second = random.choice(np.flatnonzero(classes == 1), second, replace=False)
    return random.permutation(np.concatenate([of_first, of_second]))


def _validation(
    classes: Int[np.ndarray, " text"], group: Int[np.ndarray, " text"], seed: int
) -> Iterator[tuple[Int[np.ndarray, " train"], Int[np.ndarray, " validation"]]]:
    """Splits in which both parts have both classes and no group is in two parts."""
    from sklearn.model_selection import StratifiedGroupKFold

    n = len(classes)
    is_single = n >= SINGLE_SPLIT
    wanted = max(N_FOLDS, -(-n // MOST_VALIDATION)) if is_single else N_FOLDS
    rarest = min(len(np.unique(group[classes == number])) for number in np.unique(classes))
    n_folds = min(wanted, rarest)
    if n < FEWEST_VALIDATED or n_folds < 2:
        return
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    for train, validation in splitter.split(np.zeros(n), classes, group):
        if all(len(np.unique(classes[part])) == 2 for part in (train, validation)):
            yield train, validation
            if is_single:
                return


def _pipeline(*steps: Any) -> Any:
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)
