"""How good are explanations of planted units? Their truth is known, so they can be right or wrong.

    r_truth     Pearson r of the simulated activations with the noiseless truth, over the tokens of
                holdout that count
    fires       truth: any activation. Prediction: at least half the unit's smallest strength away from
                where it rests,
                its median over these tokens, once it is scaled to be as active as the truth
                (below). Precision and recall are over tokens, and a token predicted on the wrong
                side counts against both.
    decidable   an explanation could be kept here: the truth itself, taken as the prediction of the noisy
                signal, has a lower end of at least 0.3, and enough documents are active for a verdict
    recovered   kept by its run and r_truth at least 0.7
    states_meaning   one of its named concepts is nearly the planted rule, for every part
                     (`stated_meaning`)
    auroc       how often a unit's true explanation scores higher on it than another unit's: true pairs
                against all
                false pairs of decidable units, each scored by simulation on the noisy signal

Rows in, rows out: no log, no subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ..evals.statistics.bootstrap import bootstrap_r
from ..evals.statistics.correlation import pearson, standardise
from ..evals.statistics.fdr import wilson
from ..evals.statistics.sample import ActivityLevel, Sample
from ..evals.verdict import DOCUMENTS

DECIDABLE = 0.3
"""A unit whose perfect explanation may score less than this on the holdout is not decidable there."""
RECOVERED = 0.7
"""r_truth from which an explanation says what the unit is about."""
BINS = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Lower edges of held-out scores in the calibration table; the first bin takes what is below 0, too."""


class Firing(NamedTuple):
    """Precision is None where nothing is predicted to fire, recall where nothing fires."""

    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class PlantedResult:
    """The outcome of one unit of a suite; its first fields are a line of `hubel bench planted --json`.

    Attributes:
        null, control: False, or the kind.
        r_truth, precision, recall, decidable: None for nulls and controls, which have no truth; the
            first three also for units without an explanation that predicts.
        r: held-out simulation score.
    """

    id: str
    target: str
    kept: bool
    explanation: str | None = None
    r_truth: float | None = None
    precision: float | None = None
    recall: float | None = None
    decidable: bool | None = None
    recovered: bool = False
    states_meaning: bool = False
    null: str | bool = False
    control: str | bool = False
    family: str = ""
    r: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A line of `hubel bench planted --json`."""
        return {key: value for key, value in asdict(self).items() if key not in ("family", "r")}


class Bin(NamedTuple):
    """Units whose held-out score lies in a range: how many, and their mean score and r_truth."""

    low: float
    units: int
    score: float | None
    r_truth: float | None


def r_truth(sample: Sample) -> float:
    """Pearson r of prediction and noiseless truth (the sample's `true`)."""
    return pearson(sample)


def firing(sample: Sample, weakest: float) -> Firing:
    """How well a prediction says where the unit fires; `sample.true` is the noiseless truth.

    An explanation that is half right predicts half the strength, and a judge may answer from 0 to
    10. So the prediction is scaled first: its strongest tokens, as many as really fire, get the
    same total activation as those have.

    Args:
        weakest: the unit's smallest |strength|.
    """
    truth, predicted = sample.true[sample.mask], sample.predicted[sample.mask]
    offset = predicted - np.median(predicted)
    fires = int((truth != 0).sum())
    strongest = np.sort(np.abs(offset))[len(offset) - fires :].sum()
    scale = np.abs(truth).sum() / strongest if strongest else 0.0
    says = np.where(np.abs(offset) * scale >= weakest / 2, np.sign(offset), 0)
    right = int(((says == np.sign(truth)) & (truth != 0)).sum())
    predicted_fires = int((says != 0).sum())
    precision = right / predicted_fires if predicted_fires else None
    return Firing(precision, right / fires if fires else None)


def is_decidable(sample: Sample, activity: ActivityLevel | None, seed: int = 0) -> bool:
    """Whether a perfect explanation could be kept.

    Args:
        sample: `predicted` is the noiseless truth, `true` the noisy signal.
        activity: when the run calls a token active; None in old runs, where any signal but 0 was.
    """
    if sample.active_documents(activity) < DOCUMENTS:  # no verdict, whatever the explanation
        return False
    low = bootstrap_r(sample, seed).low
    return low is not None and low >= DECIDABLE


def is_recovered(kept: bool, truth: float | None) -> bool:
    """Whether an explanation was kept and is right."""
    return kept and truth is not None and truth >= RECOVERED


def cross_scores(
    predictions: Sequence[Float[np.ndarray, "context seq"]],
    signals: Sequence[Float[np.ndarray, "context seq"]],
    mask: Bool[np.ndarray, "context seq"],
) -> Float[np.ndarray, "explanation unit"]:
    """Simulation score of every explanation on every unit: Pearson r, 0 where either is constant."""
    rows, columns = (
        np.stack([standardise(np.asarray(v, np.float64), mask)[mask] for v in values])
        for values in (predictions, signals)
    )
    return rows @ columns.T / mask.sum()


def auroc(right: Float[np.ndarray, " n"], wrong: Float[np.ndarray, " m"]) -> float | None:
    """The chance that a right one scores higher than a wrong one, ties counting half (Mann-Whitney)."""
    if not len(right) or not len(wrong):
        return None
    ordered = np.sort(wrong)
    below = np.searchsorted(ordered, right, side="left")
    up_to = np.searchsorted(ordered, right, side="right")
    return float((below + up_to).mean() / 2 / len(wrong))


def discrimination(scores: Float[np.ndarray, "unit unit"]) -> float | None:
    """AUROC of a unit's own explanation against those of others; `scores` as of `cross_scores`."""
    own = np.eye(len(scores), dtype=bool)
    return auroc(scores[own], scores[~own])


def summary(results: Sequence[PlantedResult]) -> dict[str, Any]:
    """Shares over a suite, and counts by family; shares are of decidable units, None without any.

    false_keep is the share of nulls that were kept. Controls have something to explain and are
    counted separately.
    """
    planted = [row for row in results if not row.null and not row.control]
    nulls = [row for row in results if row.null]
    controls = [row for row in results if row.control]
    by_family: dict[str, list[PlantedResult]] = {}
    for row in planted:
        by_family.setdefault(row.family, []).append(row)
    kept_nulls = sum(row.kept for row in nulls)
    decidable = [row for row in planted if row.decidable]
    recovered = sum(row.recovered for row in decidable)
    stated = sum(row.states_meaning for row in decidable)
    return {
        "states_meaning": stated / len(decidable) if decidable else None,
        "recovered": recovered / len(decidable) if decidable else None,
        "false_keep": kept_nulls / len(nulls) if nulls else None,
        "undecidable": len(planted) - len(decidable),
        "by_family": {name: _family(rows) for name, rows in by_family.items()},
        "recovered_interval": _interval(recovered, len(decidable)),
        "states_meaning_interval": _interval(stated, len(decidable)),
        "false_keep_interval": _interval(kept_nulls, len(nulls)),
        "planted": len(planted),
        "decidable": len(decidable),
        "nulls": len(nulls),
        "controls": len(controls),
        "controls_kept": sum(row.kept for row in controls),
    }


def _family(rows: Sequence[PlantedResult]) -> dict[str, int]:
    decidable = [row for row in rows if row.decidable]
    return {
        "recovered": sum(row.recovered for row in decidable),
        "states_meaning": sum(row.states_meaning for row in decidable),
        "decidable": len(decidable),
        "units": len(rows),
    }


def _interval(successes: int, trials: int) -> list[float] | None:
    return [wilson(successes, trials).low, wilson(successes, trials).high] if trials else None


def calibration(results: Sequence[PlantedResult]) -> dict[str, Any]:
    """Does a higher score mean more truth? Rank correlation of score and r_truth, and a table by score."""
    pairs = np.array(
        [(row.r, row.r_truth) for row in results if row.r is not None and row.r_truth is not None]
    )
    pairs = pairs.reshape(-1, 2)
    which = np.clip(np.searchsorted(BINS, pairs[:, 0], side="right") - 1, 0, None)
    bins = [_bin(low, pairs[which == number]) for number, low in enumerate(BINS)]
    return {
        "units": len(pairs),
        "spearman": rank_correlation(*pairs.T),
        "bins": [each._asdict() for each in bins],
    }


def _bin(low: float, pairs: Float[np.ndarray, "unit 2"]) -> Bin:
    means = pairs.mean(axis=0).tolist() if len(pairs) else [None, None]
    return Bin(low, len(pairs), *means)


def rank_correlation(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> float | None:
    """Spearman's rho with ties at their mean rank; None where one side has a single value."""
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return None
    from scipy.stats import rankdata

    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
