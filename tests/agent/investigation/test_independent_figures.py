"""Each held-out figure of a target, computed again from the run's folder by the words of docs/contract.md.

This is another program: it reads the activations of each split and the log's scores, and uses numpy
alone. It reads its formula by itself, and shares no line with `evals`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from hubel.agent.explainers.protocol import Hypothesis
from hubel.agent.investigation.conclude import conclude_target, decide_run
from hubel.agent.investigation.context import InvestigationContext
from hubel.agent.investigation.verify import score_list, verify_target
from hubel.agent.runlog.log import RunLog
from tests.support import world
from tests.support.made_investigation import made_context

TARGET = "mlp.0.0"
STRINGS = [string.strip().lower() for string in world.strings()]
NAMED = [(16, "suffix", "day"), (-8, "prefix", "st"), (2, "suffix", "ing"), (1, "suffix", "old")]
"""Weight, kind and argument of each named concept, in order."""
LISTED = {" said": -3, " the": 2}
PRINTED = (
    'extremely suffix("day") - strongly prefix("st") + slightly suffix("ing") + faintly suffix("old")'
    ' + list(" said" -3, " the" 2); step 0.25, rest 0.125'
)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> InvestigationContext:
    """A run whose targets have ended; the formula is right in part."""
    context = made_context(tmp_path_factory.mktemp("run"), definitions=2)
    rotated = [{"direction": i, "scores": rotated_scores(0.2 + 0.2 * i)} for i in (0, 1)]
    for target, unit in context.units.items():
        if target == TARGET:
            winner = Hypothesis("h1", "Fires on days.", PRINTED)
            verify_target(context, unit, winner)
            conclude_target(context, unit, winner, "")
        else:
            score_list(context, unit)
            conclude_target(context, unit, None, "it is noise to me")
    event = {"layer": 0, "side": "both", "directions": rotated}
    context.log.write("rotated", event, id="0")
    decide_run(context.folder, context.config, context.log, context.data.lexicon)
    return context


def rotated_scores(value: float) -> list[dict[str, Any]]:
    return [
        {"scorer": name, "text": "random", "value": value} for name in ("simulation", "coverage")
    ]


class Split:
    """One split as an outside program reads it."""

    def __init__(self, folder: Path, name: str) -> None:
        arrays = load_file(folder / "collected" / f"{name}.safetensors")
        self.tokens, length = arrays["tokens"], arrays["length"]
        position = np.arange(self.tokens.shape[1])
        self.mask = (position > 0) & (position < length[:, None])
        self.document = arrays.get("group", arrays["document"])
        self.signal = arrays["activations"][0].astype(np.float64)  # the first target's
        self.y, self.ids = self.signal[self.mask], self.tokens[self.mask]


def holds(kind: str, argument: str) -> np.ndarray:
    """Whether each token of the vocabulary ends or begins like the argument, and is longer."""
    test = str.endswith if kind == "suffix" else str.startswith
    return np.array([test(s, argument) and len(s) > len(argument) for s in STRINGS])


def by_token(named: list[tuple[int, str, str]], listed: dict[str, int]) -> np.ndarray:
    """Prediction for each token of the vocabulary."""
    steps = sum(weight * holds(kind, argument) for weight, kind, argument in named)
    steps = steps + np.array([listed.get(string, 0) for string in world.strings()])
    return 0.125 + 0.25 * steps


def r(x: np.ndarray, y: np.ndarray) -> float:
    return 0.0 if np.ptp(x) < 1e-12 or np.ptp(y) < 1e-12 else float(np.corrcoef(x, y)[0, 1])


def auroc(strong: np.ndarray, predicted: np.ndarray) -> float:
    pairs = predicted[strong][:, None] - predicted[~strong][None, :]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def list_prediction(explore: Split, ids: np.ndarray) -> np.ndarray:
    """The floor *list*, by a dense ridge regression."""
    types, centred = np.unique(explore.ids), explore.y - explore.y.mean()
    gain = [centred[explore.ids == t].sum() ** 2 / ((explore.ids == t).sum() + 15) for t in types]
    chosen = types[np.argsort(-np.array(gain), kind="stable")[:24]]
    columns = np.column_stack(
        [np.ones(len(explore.y)), *(explore.ids == token for token in chosen)]
    )
    penalty = 5.0 * np.eye(25)
    penalty[0, 0] = 0.0
    weights = np.linalg.solve(columns.T @ columns + penalty, columns.T @ explore.y)
    return weights[0] + sum(
        weight * (ids == token) for weight, token in zip(weights[1:], chosen, strict=True)
    )


def figures(folder: Path) -> dict[str, float]:
    """Every figure by its name, `scorer` or `scorer/floor`."""
    explore, holdout = Split(folder, "explore"), Split(folder, "holdout")
    y, ids = holdout.y, holdout.ids
    whole, meaning, headline = (
        by_token(*parts)[ids] for parts in ((NAMED, LISTED), (NAMED, {}), (NAMED[:3], {}))
    )
    seen = np.array([(explore.ids == token).sum() for token in range(len(STRINGS))])
    mean = explore.y.mean()
    lookup = np.array(
        [(explore.y[explore.ids == t].sum() + mean) / (seen[t] + 1) for t in range(len(STRINGS))]
    )[ids]
    listed = list_prediction(explore, ids)
    rows = {"simulation": r(whole, y), "meaning": r(meaning, y), "headline": r(headline, y)}
    rows |= {"simulation/list": r(listed, y), "simulation/token_lookup": r(lookup, y)}
    rows["rare"] = r(whole[seen[ids] <= 2], y[seen[ids] <= 2])
    if (seen[ids] == 0).any():
        rows["unseen"] = r(whole[seen[ids] == 0], y[seen[ids] == 0])
    rows |= coverage(y, ids)
    z = (y - np.median(y)) / y.std()
    held = [(weight, holds(kind, argument)[ids]) for weight, kind, argument in NAMED]
    rows["strength"] = float(
        np.mean([np.sign(w) * z[h].mean() if h.sum() >= 5 else 0.0 for w, h in held])
    )
    count = math.ceil(0.01 * len(y))
    above, below = (sign * y >= np.sort(sign * y)[-count] for sign in (1, -1))
    rows["salient"] = (auroc(above, whole) + auroc(below, -whole)) / 2
    xy, xz, yz = r(whole, y), r(whole, lookup), r(y, lookup)
    rows["beyond_lookup"] = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    return rows


def coverage(y: np.ndarray, ids: np.ndarray) -> dict[str, float]:
    """P50@3 and its chance."""
    strong = np.abs(y) >= np.sort(np.abs(y))[-50]
    rises, falls = np.zeros((2, len(y)), dtype=bool)
    for weight, kind, argument in NAMED[:3]:
        (rises if weight > 0 else falls)[:] |= holds(kind, argument)[ids]
    agree = np.where(y > 0, rises, falls)[strong]
    upward = (y[strong] > 0).mean()
    chance = upward * rises.mean() + (1 - upward) * falls.mean()
    return {"coverage": float(agree.mean()), "coverage/chance": float(chance)}


def logged(log: RunLog) -> dict[str, float]:
    """The log's figures under the same names."""
    rows = {}
    for id, score in log.all("score", TARGET).items():
        if (score["split"], score["text"]) == ("holdout", "random"):
            assert id == f"h1/{score['scorer']}/holdout/random"
            rows[score["scorer"]] = score["value"]
            rows |= {f"{score['scorer']}/{name}": v for name, v in score["floors"].items()}
    return rows


def test_every_figure_is_computed_again_from_the_folder(context: InvestigationContext) -> None:
    again, stored = figures(context.folder), logged(context.log)
    assert {name: stored[name] for name in again} == pytest.approx(again, abs=1e-6)
    scorers = {name for name in stored if "/" not in name}
    skipped = {str(id).split("/")[1] for id in context.log.all("unscored", TARGET)}
    assert scorers == {name for name in again if "/" not in name}
    assert scorers | skipped >= {"meaning", "headline", "coverage", "unseen", "rare", "salient"}
    assert not scorers & skipped


def test_p_is_computed_again_by_permuting_documents(context: InvestigationContext) -> None:
    """2,000 draws in a loop, with the seed that a target has: SHA-256 of "SEED:TARGET"."""
    holdout = Split(context.folder, "holdout")
    predicted = by_token(NAMED, LISTED)[holdout.tokens]
    groups = np.unique(holdout.document)
    rows = [np.flatnonzero(holdout.document == group) for group in groups]
    rng = np.random.default_rng(context.seed(context.units[TARGET]))
    partners = rng.permuted(np.tile(np.arange(len(groups)), (1999, 1)), axis=1)[:60]
    observed = r(predicted[holdout.mask], holdout.y)
    draws = []
    for order in partners:
        x, y = [], []
        for own, other in zip(rows, (rows[i] for i in order), strict=True):
            for a, b in zip(own, other, strict=False):
                both = holdout.mask[a] & holdout.mask[b]
                x.append(predicted[b][both])
                y.append(holdout.signal[a][both])
        draws.append(r(np.concatenate(x), np.concatenate(y)))
    evidence = context.log.get("evidence", TARGET)
    assert evidence is not None
    assert max(draws) < observed
    assert evidence["p"] < 1 / 2000, "no draw reaches it: p is from the fitted tail"
    assert evidence["fitted"]


def test_active_documents_are_counted_again(context: InvestigationContext) -> None:
    explore, holdout = Split(context.folder, "explore"), Split(context.folder, "holdout")
    middle = np.median(explore.y)
    level = 0.3 * np.median(np.sort(np.abs(explore.y - middle))[-10:])
    active = (np.abs(holdout.signal - middle) > level) & holdout.mask
    evidence = context.log.get("evidence", TARGET)
    assert evidence is not None
    expected = len(set(holdout.document[active.any(axis=1)].tolist()))
    assert evidence["active_documents"] == expected < len(set(holdout.document.tolist()))


def test_differences_to_the_list_and_the_verdict_follow_from_the_log(
    context: InvestigationContext,
) -> None:
    evidence, stored = context.log.get("evidence", TARGET), logged(context.log)
    assert evidence is not None
    over = stored["simulation"] - stored["simulation/list"]
    assert evidence["over_list"]["value"] == pytest.approx(over)
    over = stored["meaning"] - stored["simulation/list"]
    assert evidence["meaning_over_list"]["value"] == pytest.approx(over)
    verdicts = context.log.get("verdicts")
    assert verdicts is not None
    (row,) = [row for row in verdicts["rows"] if row["target"] == TARGET]
    assert (row["verdict"], row["tier"]) == ("inconclusive", None)
    documents = evidence["active_documents"]
    assert f"Only {documents} held-out documents have a strong activation" in row["reason"]


def test_rotated_directions_are_a_floor_of_what_they_scored(context: InvestigationContext) -> None:
    stored = logged(context.log)
    rotated = {name: value for name, value in stored.items() if name.endswith("/rotated")}
    assert rotated["simulation/rotated"] == pytest.approx(0.3)
    assert rotated["coverage/rotated"] == pytest.approx(0.3)
    assert rotated["meaning/rotated"] is None


def test_a_target_without_an_explanation_has_the_list_alone(context: InvestigationContext) -> None:
    (score,) = context.log.all("score", "mlp.0.1").values()
    assert (score["scorer"], score["split"], score["hypothesis"]) == ("list", "holdout", None)
    assert score["value"] > 0.9, "it fires on one word"
    conclusion = context.log.get("conclusion", "mlp.0.1")
    assert conclusion is not None
    assert conclusion["meaning"] is None


def test_the_conclusion_has_the_parts_of_the_formula(context: InvestigationContext) -> None:
    conclusion = context.log.get("conclusion", TARGET)
    assert conclusion is not None
    assert conclusion["meaning"].endswith('faintly suffix("old"); step 0.25, rest 0.125')
    assert conclusion["residue"] == 'list(" said" -3, " the" 2); step 0.25, rest 0.0'
    assert conclusion["headline"]
    assert conclusion["bits"] > 0
    assert json.dumps(conclusion)


def test_a_run_by_the_first_definitions_logs_what_it_logged(tmp_path: Path) -> None:
    """So that finished runs replay: no new score, floor, key or tier."""
    context = made_context(tmp_path)
    unit, winner = context.units[TARGET], Hypothesis("h1", "Fires on days.", PRINTED)
    verify_target(context, unit, winner)
    score_list(context, context.units["mlp.0.1"])
    conclude_target(context, unit, winner, "")
    for target in list(context.units)[1:]:
        context.log.write("failure", {"error": "no more memory"}, target=target)
    decide_run(tmp_path, context.config, context.log, context.data.lexicon)
    scores = context.log.all("score", TARGET).values()
    assert {score["scorer"] for score in scores} == {"simulation"}
    old_floors = {"chance", "shuffled", "other", "token_lookup", "trivial"}
    assert all(set(score["floors"]) == old_floors for score in scores)
    evidence = context.log.get("evidence", TARGET)
    assert evidence is not None
    assert set(evidence) == {
        "hypothesis", "p", "fitted", "trivial", "over_trivial", "active_documents"
    }  # fmt: skip
    conclusion, verdicts = context.log.get("conclusion", TARGET), context.log.get("verdicts")
    assert conclusion is not None
    assert verdicts is not None
    assert "meaning" not in conclusion
    assert "tier" not in verdicts["rows"][0]
    assert context.log.all("score", "mlp.0.1") == {}
