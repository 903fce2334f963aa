"""Keep the last decision of a person on each target in the store, so that lists can be filtered by it."""

from __future__ import annotations

import json

from ...runlog.reviews import Reviews, last_decision
from .database import Store, bump_version, get_meta, set_meta


def store_decisions(reviews: Reviews, store: Store) -> None:
    """Bring the store's column up to date; looks at file sizes only, unless somebody wrote a review."""
    signature = json.dumps(reviews.signature())
    with store.reading() as db:
        if get_meta(db, "reviews") == signature:
            return
    decisions = {
        target: decision
        for target, events in reviews.by_target().items()
        if (decision := last_decision(events))
    }
    with store.writing() as db:
        db.execute("update targets set review = null where review is not null")
        rows = [(event.data["verdict"], target) for target, event in decisions.items()]
        db.executemany("update targets set review = ? where target = ?", rows)
        set_meta(db, "reviews", signature)
        bump_version(db)
