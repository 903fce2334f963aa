"""Minimal pairs: does the subject prefer the grammatical form?

1. Score each form after its context: log p of its tokens. The margin of a pair is the grammatical
   form's less the other's, in nats. It is right where that is above 0.
2. Accuracy by phenomenon, with its interval over groups: pairs with the same noun are one group. All
   claims together hold at 95 %.
3. Control: chance, which is one half exactly. Pairs come in twins, in which each form is once the
   right one, so that a subject that only likes a form is right in half of them. Pairs of a user's
   table may not be balanced; `form alone` is the accuracy of choosing each form by its mean score
   over all contexts, and the larger of the two is the control.
4. What an attractor costs: accuracy across a noun of the same number less that across one of the
   other number, over the subjects of both.

Marvin and Linzen (EMNLP 2018); Warstadt et al., "BLiMP" (TACL 2020). Margins are of the next tokens
and not of whole sentences, so that what the pair has in common adds no noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from ...evals.statistics.grouped import LEAST_GROUPS, difference_over_groups, mean_over_groups
from ..figures import BarChart
from ..registry import study
from ..result import StudyClaim, StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say, joint_level

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Shaped

    from ..measurements import Measured

CHANCE = 0.5
ATTRACTOR, NO_ATTRACTOR = "agreement-attractor", "agreement-no-attractor"


@study("minimal-pairs", question="Does the subject prefer the grammatical form?")
def minimal_pairs(
    study: StudyContext,
    pairs: Annotated[
        str,
        Field(
            description="all, phenomena separated by commas (agreement, polarity-ever, ...), or a "
            "table with the columns good, bad and perhaps prefix, phenomenon, group"
        ),
    ] = "all",
    seed: int = 0,
) -> StudyResult:
    """Compare how likely the subject finds a grammatical and an ungrammatical form after one context.

    For each phenomenon: the share of pairs in which the grammatical form is more likely, and by how
    much. One half is chance.
    """
    measured = study.measured("margins", lambda: measure_margins(study, pairs, seed))
    return conclude(
        measured["good"],
        measured["bad"],
        measured["forms"],
        measured["phenomenon"],
        measured["group"],
        seed,
    )


def measure_margins(study: StudyContext, pairs: str, seed: int) -> Measured:
    """log p of both forms of every pair, with phenomenon, group, forms and texts."""
    from ...tools.behaviour import continuation_probabilities
    from ...tools.datasets.minimal_pairs import read_pairs

    drawn = read_pairs(pairs, seed)
    names = list(dict.fromkeys(pair.phenomenon for pair in drawn))
    good, bad = np.zeros(len(drawn)), np.zeros(len(drawn))
    for done, name in enumerate(names):
        study.progress("phenomena", done, len(names))
        rows = [row for row, pair in enumerate(drawn) if pair.phenomenon == name]
        prefixes = [(drawn[row].good_prefix, drawn[row].bad_prefix) for row in rows]
        forms = [(drawn[row].good, drawn[row].bad) for row in rows]
        scored = continuation_probabilities(
            study.subject, list(chain(*prefixes)), list(chain(*forms))
        )
        good[rows], bad[rows] = scored.totals.reshape(-1, 2).T
    columns = [(pair.phenomenon, pair.group, (pair.good, pair.bad), pair.texts()) for pair in drawn]
    phenomenon, group, forms, texts = (np.array(column) for column in zip(*columns, strict=True))
    return {
        "good": good,
        "bad": bad,
        "phenomenon": phenomenon,
        "group": group,
        "forms": forms,
        "texts": texts,
    }


def conclude(
    good: Float[np.ndarray, " pairs"],
    bad: Float[np.ndarray, " pairs"],
    forms: Shaped[np.ndarray, "pairs 2"],
    phenomenon: Shaped[np.ndarray, " pairs"],
    group: Shaped[np.ndarray, " pairs"],
    seed: int = 0,
) -> StudyResult:
    """A claim and a row for each phenomenon, what attractors cost, and two figures."""
    names = list(dict.fromkeys(phenomenon.tolist()))
    has_attractors = {ATTRACTOR, NO_ATTRACTOR} <= set(names)
    level = joint_level(len(names) + has_attractors)
    claims: list[StudyClaim] = []
    rows: list[dict[str, Any]] = []
    for name in names:
        chosen = phenomenon == name
        margin, own = (good - bad)[chosen], group[chosen]
        accuracy = mean_over_groups((margin > 0) * 1.0, own.tolist(), level=level, seed=seed)
        size = mean_over_groups(margin, own.tolist(), level=level, seed=seed)
        alone = form_alone(good[chosen], bad[chosen], forms[chosen])
        n_groups = len(np.unique(own))
        sentence = f"the subject prefers the grammatical form: {name}"
        if n_groups < LEAST_GROUPS:
            why = f"{sentence} ({n_groups} groups, and an interval needs {LEAST_GROUPS})"
            claims.append(cannot_say(why, n_groups, accuracy.value))
        else:
            claims.append(above(sentence, accuracy, max(CHANCE, alone), n_groups))
        rows.append(
            {
                "phenomenon": name,
                "pairs": int(chosen.sum()),
                "groups": n_groups,
                "accuracy": accuracy.value,
                "low": accuracy.low,
                "high": accuracy.high,
                "form alone": alone,
                "margin": size.value,
                "margin low": size.low,
                "margin high": size.high,
            }
        )
    if has_attractors:
        claims.append(_attractor_cost(good > bad, phenomenon, group, level, seed))
    return StudyResult(rows, claims, _figures(rows))


def form_alone(
    good: Float[np.ndarray, " pairs"],
    bad: Float[np.ndarray, " pairs"],
    forms: Shaped[np.ndarray, "pairs 2"],
) -> float:
    """Accuracy of preferring each form by its mean score, whatever stands before it; a tie is half."""
    _, number = np.unique(forms.ravel(), return_inverse=True)
    scores = np.stack([good, bad], axis=1).ravel()
    means = np.bincount(number, scores) / np.bincount(number)
    difference = np.diff(means[number].reshape(-1, 2), axis=1)[:, 0]
    return float(((1 - np.sign(difference)) / 2).mean())


def _attractor_cost(
    is_right: Bool[np.ndarray, " pairs"],
    phenomenon: Shaped[np.ndarray, " pairs"],
    group: Shaped[np.ndarray, " pairs"],
    level: float,
    seed: int,
) -> StudyClaim:
    chosen = np.isin(phenomenon, (ATTRACTOR, NO_ATTRACTOR))
    is_easy = phenomenon[chosen] == NO_ATTRACTOR
    cost = difference_over_groups(
        is_right[chosen] * 1.0, is_easy, group[chosen].tolist(), level=level, seed=seed
    )
    n = len(np.unique(group[chosen]))
    return above("a noun of the other number before the verb costs accuracy", cost, 0.0, n)


def _figures(rows: Sequence[dict[str, Any]]) -> list[BarChart]:
    names = [row["phenomenon"] for row in rows]

    def column(name: str) -> list[float | None]:
        return [row[name] for row in rows]

    accuracy = BarChart(
        "accuracy",
        "Share of pairs in which the grammatical form is more likely",
        "accuracy",
        names,
        column("accuracy"),
        column("low"),
        column("high"),
        [max(CHANCE, row["form alone"]) for row in rows],
    )
    margin = BarChart(
        "margin",
        "log p of the grammatical form less that of the other",
        "nats",
        names,
        column("margin"),
        column("margin low"),
        column("margin high"),
        [0.0] * len(rows),
    )
    return [accuracy, margin]
