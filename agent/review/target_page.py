"""Everything that the page of one target shows, section by section as the page draws it."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from ...tools.errors import HubelError
from ...tools.subject.address import Unit
from . import token_maps
from .exemplars import exemplars
from .formula_parts import formula_parts
from .run_catalog import StoredRun
from .similar_units import similar_units
from .target_events import TargetEvents, read_target_events
from .target_list import row_of

SHOWN_ELSEWHERE = ("activations.", "logit_lens")
"""Instruments whose results have their own sections, so that they are not listed as effects."""
MAX_EFFECTS = 40
MAX_FAULTS = 5
"""Events that cannot be read which a page names."""


def target_page(run: StoredRun, target: str) -> dict[str, Any]:
    """The page of one target."""
    with run.store.reading() as db:
        row = row_of(run, db, target)
        unit, position = Unit.parse(target), row["position"]
        events = read_target_events(run, db, position)
        from_store = {
            **_previous_and_next(db, position),
            "cost": _cost(db, position),
            "nearest": similar_units(db, unit, row["layer"], events.get("neighbours")),
        }
    notices = [*events.faults[:MAX_FAULTS]]
    if (more := len(events.faults) - MAX_FAULTS) > 0:
        notices.append(f"{more} more events cannot be read.")
    data, hypotheses = _collected_data(run, notices), _hypotheses(events)
    return {
        "row": row,
        "position": position,
        "kind": row["kind"],
        **from_store,
        **_activations(unit, row["predicate"], events.get("observation"), data),
        "formula": formula_parts(row["predicate"]),
        **_scores(events),
        "gist": next((one["gist"] for one in hypotheses if one["chosen"]), None),
        "hypotheses": hypotheses,
        "effects": _effects(events),
        **_conclusion(events),
        "reviews": run.reviews.rows(target),
        "holdout_opened": run.reviews.opened(target),
        "notices": notices,
    }


# ---------------------------------------------------------------- from the store


def _previous_and_next(db: sqlite3.Connection, position: int) -> dict[str, str | None]:
    def target(where: str) -> str | None:
        query = f"select target from targets where position {where} limit 1"
        row = db.execute(query, [position]).fetchone()
        return row[0] if row else None

    return {
        "previous": target("< ? order by position desc"),
        "next": target("> ? order by position"),
    }


def _cost(db: sqlite3.Connection, position: int) -> dict[str, Any]:
    columns = "calls, usd, input_tokens, output_tokens, cached_tokens, seconds"
    row = db.execute(f"select {columns} from targets where position = ?", [position]).fetchone()
    return dict(row)


# ---------------------------------------------------------------- activations


def _collected_data(run: StoredRun, notices: list[str]) -> token_maps.CollectedData | None:
    """The run's activations; adds a notice for the reader about what is missing."""
    try:
        data = token_maps.collected_data(run.folder)
    except HubelError as error:
        notices.append(str(error))
        return None
    if data is None:
        notices.append(
            "The run's activations are not there, so there are no histogram and no predictions."
        )
    elif data.lexicon is None:
        notices.append("The run has not ended; predictions are shown when it has.")
    return data


def _activations(
    unit: Unit,
    predicate: str | None,
    observation: Mapping[str, Any],
    data: token_maps.CollectedData | None,
) -> dict[str, Any]:
    lens = observation.get("logit_lens") or {}
    return {
        "statistics": token_maps.statistics(unit, observation, data),
        **exemplars(unit, predicate, observation, data),
        "histogram": token_maps.histogram(unit, observation, data),
        "writes": {name: _token_weights(lens.get(name)) for name in ("promoted", "suppressed")},
    }


def _token_weights(listed: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    listed = listed or {}
    pairs = zip(listed.get("tokens") or (), listed.get("logits") or (), strict=False)
    return [{"token": token, "weight": weight} for token, weight in pairs]


# ---------------------------------------------------------------- scores


def _scores(events: TargetEvents) -> dict[str, Any]:
    """Scores of the run, those on other corpora (which `hubel eval --corpus` wrote), and evidence."""
    scores = list(events.all("score").values())
    for evaluation in events.all("evaluation").values():
        if corpus := evaluation.get("corpus"):
            scores += [score | {"split": corpus} for score in evaluation.get("scores") or ()]
    for transfer in events.all("transfer").values():
        scores += [
            _part_score(transfer["corpus"], part)
            for part in transfer["parts"]
            if part["value"] is not None
        ]
    evidence = events.get("evidence")
    names = ("over_trivial", "trivial", "active_documents")
    return {"scores": scores} | {name: evidence.get(name) for name in names}


def _part_score(corpus: str, part: Mapping[str, Any]) -> dict[str, Any]:
    """r on a part of another corpus, as a row of scores."""
    row = {name: part[name] for name in ("value", "low", "high")}
    return row | {"scorer": "simulation", "split": f"{corpus}, {part['name']}", "text": "random"}


# ---------------------------------------------------------------- hypotheses and experiments


def _hypotheses(events: TargetEvents) -> list[dict[str, Any]]:
    """The hypotheses with their experiments, and last the formula search's that they compete with."""
    chosen = events.get("conclusion").get("hypothesis")
    on_explore = {
        str(fit["request"].get("predicate")): fit["answer"].get("score")
        for fit in events.all("fit").values()
    }
    experiments: dict[str, list[dict[str, Any]]] = {}
    for id, prediction in events.all("prediction").items():
        listed = experiments.setdefault(str(prediction.get("hypothesis")), [])
        listed.append(_experiment(events, id, prediction))
    hypotheses = []
    for id, hypothesis in events.all("hypothesis").items():
        names = ("id", "sentence", "predicate", "origin", "parent", "round", "gist")
        hypotheses.append(
            {name: hypothesis.get(name) for name in names}
            | {
                "explore": on_explore.get(str(hypothesis.get("predicate"))),
                "select": events.get("feedback", id).get("score"),
                "chosen": hypothesis.get("id") == chosen,
                "competitor": False,
                "experiments": experiments.get(str(hypothesis.get("id")), []),
            }
        )
    if competitor := events.get("competitor"):
        names = ("sentence", "predicate", "origin", "parent", "select", "gist")
        hypotheses.append(
            {name: competitor.get(name) for name in names}
            | {
                "id": "compositional",
                "round": None,
                "explore": on_explore.get(str(competitor.get("predicate"))),
                "chosen": False,
                "competitor": True,
                "experiments": [],
            }
        )
    return hypotheses


def _experiment(
    events: TargetEvents, id: str | None, prediction: Mapping[str, Any]
) -> dict[str, Any]:
    """A prediction and its outcome in one row."""
    outcome = events.get("outcome", id)
    passage, other = prediction.get("passage") or {}, prediction.get("other") or {}
    predicted = ("relation", "quantity", "side", "bounds", "token", "versus", "strength")
    observed = ("observed", "compared", "outcome", "seen")
    return {
        "id": id,
        **{name: prediction.get(name) for name in predicted},
        **{name: outcome.get(name) for name in observed},
        "text": passage.get("text", ""),
        "span": passage.get("span"),
        "other": other.get("text"),
        "other_span": other.get("span"),
        "reason": prediction.get("reason", ""),
        "predicted_at": events.time.get(("prediction", id)),
        "observed_at": events.time.get(("outcome", id)),
    }


def _effects(events: TargetEvents) -> list[dict[str, Any]]:
    """Results of instruments that intervene or attribute."""
    effects = []
    for id, call in events.all("call").items():
        request, answer = call.get("request") or {}, call.get("answer") or {}
        instrument = str(request.get("instrument"))
        if instrument.startswith(SHOWN_ELSEWHERE):
            continue
        is_rendered = bool(request.get("rendered"))
        effects.append(
            {
                "kind": instrument,
                "id": id,
                "arguments": request.get("arguments"),
                "result": answer.get("result") if is_rendered else answer,
                "rendered": answer.get("text") if is_rendered else None,
                "error": bool(answer.get("error")),
            }
        )
    return effects[:MAX_EFFECTS]


def _conclusion(events: TargetEvents) -> dict[str, Any]:
    """What a language model concluded: its findings, and its claims traced to evidence."""
    concluding = [move for move in events.all("move").values() if move.get("favourite")]
    last = concluding[-1] if concluding else {}
    return {"claims": last.get("claims", []), "findings": last.get("findings", "")}
