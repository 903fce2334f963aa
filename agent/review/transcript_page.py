"""A piece of a target's transcript, read without the replies that are not shown."""

from __future__ import annotations

from typing import TypedDict

from ..runlog.transcript import Turn, move_turns, turns
from .run_catalog import StoredRun
from .target_events import read_replies, read_target_events
from .target_list import row_of

LATER_REPLIES = 3
"""Replies after the last one shown, in which results of its calls are looked for."""


class TranscriptPage(TypedDict):
    """Some turns, and how many there are."""

    total: int
    offset: int
    turns: list[Turn]


def transcript_page(run: StoredRun, target: str, offset: int, limit: int) -> TranscriptPage:
    """Turns from `offset` on, at most `limit`."""
    end = offset + limit
    with run.store.reading() as db:
        row = row_of(run, db, target)
        stored = db.execute(
            "select stem, line, offset, turns, defines from talk where position = ? and explaining order by number",
            [row["position"]],
        ).fetchall()
        if not stored:
            moves = move_turns(read_target_events(run, db, row["position"]).data)
            return TranscriptPage(total=len(moves), offset=offset, turns=moves[offset:end])
    # The store has the number of turns of each reply, so that only those in the window are read.
    total, first, window, later = 0, 0, [], []
    for reply in stored:
        start, total = total, total + reply["turns"]
        if total <= offset:
            first = total
        elif start < end:
            window.append(reply)
        elif len(later) < LATER_REPLIES:
            later.append(reply)
    listed = turns(read_replies(run, window), read_replies(run, later), first)
    return TranscriptPage(total=total, offset=offset, turns=listed[offset - first : end - first])
