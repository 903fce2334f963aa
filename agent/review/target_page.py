"""All that a page says about one target: its own events of the log, and the activations that the run collected."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

from ..runlog.layout import EVENTS
from ..runlog.segments import Envelope, EventPosition, fetch, segments
from . import token_maps
from .rows import row_of
from .run_catalog import StoredRun, safe_path
from .similar_units import nearest

INSTRUMENTS_SHOWN = ("activations.", "logit_lens")
"""Instruments whose answers the page shows elsewhere than among the effects."""
MOST_EFFECTS = 40


class TargetEvents:
    """The events of one target, replies left out: the last of each name, in the order of first writing."""

    def __init__(self, found: Iterable[Envelope]) -> None:
        self.data: dict[tuple[str, str | None], dict[str, Any]] = {}
        self.time: dict[tuple[str, str | None], str] = {}
        for event in found:
            if isinstance(data := event.data(), dict):
                self.data[event.event, event.id] = data
                self.time[event.event, event.id] = event.time

    def get(self, event: str, id: str | None = None) -> dict[str, Any]:
        """The data of the last event of that name, or an empty one."""
        return self.data.get((event, id), {})

    def all(self, event: str) -> dict[str | None, dict[str, Any]]:
        """Id to data of every event of a kind."""
        return {i: d for (e, i), d in self.data.items() if e == event}


def events_of(run: StoredRun, db: sqlite3.Connection, position: int) -> TargetEvents:
    """A target's events but the replies of a language model."""
    found: dict[str, list[EventPosition]] = {}
    for row in db.execute(
        "select stem, packed from places where position = ? and not talk order by rowid", [position]
    ):
        packed = array("q", row["packed"])
        found.setdefault(row["stem"], []).extend(map(EventPosition, packed[::2], packed[1::2]))
    paths = segments(run.folder)
    return TargetEvents(
        event
        for stem in sorted(found)
        if stem in paths
        for event in fetch(safe_path(run, EVENTS, paths[stem].name), found[stem])
    )


def target_page(run: StoredRun, target: str) -> dict[str, Any]:
    """The page of one target."""
    with run.store.reading() as db:
        row = row_of(run, db, target)
        events = events_of(run, db, row["position"])
        around = _neighbours(db, row["position"])
        cost = _cost(db, row["position"])
        near = nearest(db, target, events.get("neighbours"))
    notices: list[str] = []
    data = _data(run, notices)
    seen = events.get("observation")
    conclusion = events.get("conclusion")
    moved = [move for move in events.all("move").values() if move.get("favourite")]
    evidence = events.get("evidence")
    return {
        "row": row,
        "position": row["position"],
        **around,
        "kind": row["kind"],
        "statistics": token_maps.statistics(target, seen, data),
        "exemplars": token_maps.exemplars(target, row["predicate"], seen, data),
        "histogram": token_maps.histogram(target, seen, data),
        "writes": _writes(seen),
        "scores": [*events.all("score").values(), *_elsewhere(events)],
        "over_trivial": evidence.get("over_trivial"),
        "trivial": evidence.get("trivial"),
        "active_documents": evidence.get("active_documents"),
        "hypotheses": _hypotheses(events, conclusion),
        "effects": _effects(events),
        "nearest": near,
        "cost": cost,
        "claims": moved[-1].get("claims", []) if moved else [],
        "findings": moved[-1].get("findings", "") if moved else "",
        "reviews": run.reviews.shown(target),
        "holdout_opened": run.reviews.opened(target),
        "notices": notices,
    }


def _data(run: StoredRun, notices: list[str]) -> token_maps.Data | None:
    from ...tools.errors import HubelError

    try:
        data = token_maps.data_of(run.folder)
    except HubelError as error:
        notices.append(str(error))
        return None
    if data is None:
        notices.append(
            "The run's activations are not there, so that no histogram and no predictions can be shown."
        )
    elif data.lexicon is None:
        notices.append("The run has not ended: predictions beside the truth are shown when it has.")
    return data


def _neighbours(db: sqlite3.Connection, position: int) -> dict[str, Any]:
    def at(where: str) -> str | None:
        found = db.execute(
            f"select target from targets where position {where} limit 1", [position]
        ).fetchone()
        return found[0] if found else None

    return {"previous": at("< ? order by position desc"), "next": at("> ? order by position")}


def _cost(db: sqlite3.Connection, position: int) -> dict[str, Any]:
    names = ("calls", "usd", "input_tokens", "output_tokens", "cached_tokens", "seconds")
    found = db.execute(
        f"select {', '.join(names)} from targets where position = ?", [position]
    ).fetchone()
    return dict(found)


def _writes(seen: Mapping[str, Any]) -> dict[str, Any]:
    lens = seen.get("logit_lens") or {}
    return {name: _weights(lens.get(name) or {}) for name in ("promoted", "suppressed")}


def _weights(listed: Mapping[str, Any]) -> list[dict[str, Any]]:
    pairs = zip(listed.get("tokens") or (), listed.get("logits") or (), strict=False)
    return [{"token": token, "weight": weight} for token, weight in pairs]


def _hypotheses(events: TargetEvents, conclusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    experiments: dict[str, list[dict[str, Any]]] = {}
    for id, planned in events.all("prediction").items():
        experiments.setdefault(str(planned.get("hypothesis")), []).append(
            _experiment(events, id, planned)
        )
    fits = {
        str(d["request"].get("predicate")): d["answer"].get("score")
        for d in events.all("fit").values()
    }
    rival = events.get("competitor")
    found = []
    for id, told in events.all("hypothesis").items():
        found.append(
            {
                key: told.get(key)
                for key in ("id", "sentence", "predicate", "origin", "parent", "round")
            }
            | {
                "explore": fits.get(str(told.get("predicate"))),
                "select": events.get("feedback", id).get("score"),
                "chosen": told.get("id") == conclusion.get("hypothesis"),
                "competitor": False,
                "experiments": experiments.get(str(told.get("id")), []),
            }
        )
    if rival:
        shown_rival = {
            key: rival.get(key)
            for key in ("id", "sentence", "predicate", "origin", "parent", "select")
        }
        found.append(
            shown_rival
            | {
                "id": "compositional",
                "round": None,
                "explore": fits.get(str(rival.get("predicate"))),
            }
            | {"chosen": False, "competitor": True, "experiments": []}
        )
    return found


def _experiment(events: TargetEvents, id: str | None, planned: Mapping[str, Any]) -> dict[str, Any]:
    outcome = events.get("outcome", id)
    passage, other = planned.get("passage") or {}, planned.get("other") or {}
    return {
        "id": id,
        "relation": planned.get("relation"),
        "quantity": planned.get("quantity"),
        "side": planned.get("side"),
        "text": passage.get("text", ""),
        "span": passage.get("span"),
        "other": other.get("text"),
        "other_span": other.get("span"),
        "bounds": planned.get("bounds"),
        **{name: planned.get(name) for name in ("token", "versus", "strength")},
        "reason": planned.get("reason", ""),
        "observed": outcome.get("observed"),
        "compared": outcome.get("compared"),
        "outcome": outcome.get("outcome"),
        "seen": outcome.get("seen"),
        "predicted_at": events.time.get(("prediction", id)),
        "observed_at": events.time.get(("outcome", id)),
    }


def _elsewhere(events: TargetEvents) -> list[dict[str, Any]]:
    """Scores on other corpora, which `hubel eval --corpus` wrote; the corpus stands in the place of the split."""
    found = [told for told in events.all("evaluation").values() if told.get("corpus")]
    return [
        score | {"split": told["corpus"]} for told in found for score in told.get("scores") or ()
    ]


def _effects(events: TargetEvents) -> list[dict[str, Any]]:
    """What instruments that intervene or attribute said."""
    found = []
    for id, told in events.all("call").items():
        request = told.get("request") or {}
        name = str(request.get("instrument"))
        if name.startswith(INSTRUMENTS_SHOWN):
            continue
        answer = told.get("answer") or {}
        result = answer.get("result") if request.get("rendered") else answer
        found.append(
            {"kind": name, "id": id, "arguments": request.get("arguments"), "result": result}
            | {
                "rendered": answer.get("text") if request.get("rendered") else None,
                "error": bool(answer.get("error")),
            }
        )
    return found[:MOST_EFFECTS]


def transcript(run: StoredRun, target: str, offset: int, limit: int) -> dict[str, Any]:
    """Some turns of a target's transcript; replies that are not shown are not read."""
    from ..runlog.transcript import move_turns, turns

    with run.store.reading() as db:
        row = row_of(run, db, target)
        talk = db.execute(
            "select stem, line, offset, turns, defines from talk where position = ? and explaining order by number",
            [row["position"]],
        ).fetchall()
        if not talk:
            found = move_turns(events_of(run, db, row["position"]).data)
            return {"total": len(found), "offset": offset, "turns": found[offset : offset + limit]}
    total, first, skipped, chosen, behind = 0, 0, 0, [], 0
    for reply in talk:
        start, total = total, total + reply["turns"]
        if total <= offset:
            first = total
        elif start < offset + limit:
            chosen.append(reply)
        elif behind < 3:
            behind += 1
            chosen.append(reply)
    rows = replies(run, chosen)
    shown_turns = turns(rows[: len(rows) - behind], rows[len(rows) - behind :], first)
    skipped = offset - first
    return {"total": total, "offset": offset, "turns": shown_turns[skipped : skipped + limit]}


def replies(
    run: StoredRun, talk: Iterable[Mapping[str, Any] | sqlite3.Row]
) -> list[dict[str, Any]]:
    """Journaled replies by where they stand."""
    paths, found = segments(run.folder), []
    for reply in talk:
        if reply["stem"] not in paths:
            continue
        path = safe_path(run, EVENTS, paths[reply["stem"]].name)
        for event in fetch(path, [EventPosition(reply["line"], reply["offset"])]):
            data = event.data()
            told = {"time": event.time, "defines": reply["defines"]}
            found.append((data if isinstance(data, dict) else {}) | told)
    return found
